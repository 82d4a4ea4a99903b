#include "pannier/command/categories.hpp"
#include "pannier/config/glob.hpp"

#include "request_fixture.hpp"

#include <chrono>
#include <map>
#include <optional>
#include <random>
#include <tuple>

// Random rules, keys and requests against the plainest matcher that one can write.
namespace pannier::policy {

using config::GlobToken;
using config::RuleMode;

namespace {

using Captures = std::map<std::string, std::string_view>;

// Tries each way, stars and all, the shortest first.
bool fits(const config::Glob& glob,
          std::size_t token,
          std::size_t captured,
          std::string_view key,
          Captures& captures) {
  if (token == glob.tokens.size()) {
    return key.empty();
  }
  const auto& each = glob.tokens[token];
  if (each.kind == GlobToken::Kind::Star) {
    for (std::size_t n = 0; n <= key.size(); ++n) {
      if (fits(glob, token + 1, captured, key.substr(n), captures)) {
        return true;
      }
    }
    return false;
  }
  if (each.kind == GlobToken::Kind::Capture) {
    const auto size = each.to_end ? key.size() : std::min(key.find(each.literal), key.size());
    captures[glob.captures[captured]] = key.substr(0, size);
    return size > 0 && fits(glob, token + 1, captured + 1, key.substr(size), captures);
  }
  return !key.empty() && each.bytes.test(static_cast<std::uint8_t>(key.front())) &&
         fits(glob, token + 1, captured, key.substr(1), captures);
}

bool allows(const Words& commands, const command::CommandSpec& row) {
  return commands.empty() || std::any_of(commands.begin(), commands.end(), [&](const auto& word) {
           return word.front() == '@'
                      ? (command::categories_of(row) & command::category_of(word.substr(1))) != 0
                      : command::is_named(row, word);
         });
}

// What the most specific glob that matches captures; nothing when none does.
std::optional<std::string> subject(const config::LimitRule& limit, std::string_view key) {
  std::optional<std::string> out;
  std::tuple<std::size_t, std::size_t> best;
  for (const auto& text : limit.keys) {
    const auto glob = config::parse_glob(text);
    const std::tuple rank{config::literal_prefix(glob).size(), config::literal_count(glob)};
    Captures captures;
    if (fits(glob, 0, 0, key, captures) && (!out || rank > best)) {
      out = captures[limit.capture];
      best = rank;
    }
  }
  return out;
}

std::string naive_limits(const Rules& rules, const Asked& asked) {
  std::string out;
  const auto add = [&out](std::size_t id, const std::string& text) {
    out += (out.empty() ? "" : " ") + std::to_string(id) + (text.empty() ? "" : "=" + text);
  };
  for (std::size_t id = 0; id < rules.policy.limits.size(); ++id) {
    const auto& limit = rules.policy.limits[id];
    if (std::min(limit.mode, rules.policy.mode) == RuleMode::Off ||
        command::is_unlimited(*asked.view.row) || !allows(limit.commands, *asked.view.row)) {
      continue;
    }
    std::vector<std::string> subjects;
    for (const auto key : asked.view.keys) {
      const auto id_of_class = rules.matcher.match(key);
      const bool of_class =
          limit.key_class.empty() ||
          (id_of_class != kNoClass && rules.at(id_of_class).name == limit.key_class);
      const auto found = limit.keys.empty() ? std::string() : subject(limit, key);
      if (of_class && found) {
        subjects.push_back(*found);
      }
    }
    if (limit.keys.empty() && limit.key_class.empty()) {
      subjects = {""};
    }
    std::sort(subjects.begin(), subjects.end());
    subjects.erase(std::unique(subjects.begin(), subjects.end()), subjects.end());
    for (const auto& each : subjects) {
      add(id, each);
    }
  }
  return out;
}

std::string naive_denial(const Rules& rules, const Asked& asked) {
  std::optional<Denial> observed;
  for (std::size_t id = 0; id < rules.policy.deny.size(); ++id) {
    const auto& rule = rules.policy.deny[id];
    const auto mode = std::min(rule.mode, rules.policy.mode);
    const bool key_fits =
        rule.keys.empty() ||
        std::any_of(asked.view.keys.begin(), asked.view.keys.end(), [&](std::string_view key) {
          return std::any_of(rule.keys.begin(), rule.keys.end(), [&](const std::string& glob) {
            return config::glob_matches(glob, key);
          });
        });
    const bool too_many =
        rule.max_arguments > 0 && asked.view.arguments.size() > rule.max_arguments;
    const bool exceeds = rule.max_arguments == 0 || too_many;
    if (mode == RuleMode::Off || command::is_handshake(*asked.view.row) || !key_fits || !exceeds ||
        !allows(rule.commands, *asked.view.row)) {
      continue;
    }
    const auto reason = too_many            ? Denial::Reason::Arguments
                        : rule.keys.empty() ? Denial::Reason::Command
                                            : Denial::Reason::Key;
    const Denial denial{static_cast<DenyId>(id), reason};
    if (mode == RuleMode::Enforce) {
      return shown(denial) + (observed ? ", observed " + shown(*observed) : "");
    }
    observed = observed ? observed : denial;
  }
  return observed ? "observed " + shown(*observed) : "";
}

// What the proxy looks at first; only of what has one key, or has none.
bool passes_screen(const Rules& rules, const Asked& asked) {
  std::size_t bytes = 0;
  for (const auto argument : asked.view.arguments) {
    bytes += argument.size();
  }
  const auto& row = *asked.view.row;
  return (row.rule == command::KeyRule::None ||
          (command::has_one_key(row) && asked.view.keys.size() == 1)) &&
         rules.requests.screen().passes(
             command::index_of(row), asked.view.arguments.size(), bytes, asked.view.key_class);
}

class Random {
 public:
  explicit Random(std::uint32_t seed) : engine_(seed) {}

  std::size_t below(std::size_t limit) { return engine_() % limit; }

  std::string text(std::size_t size) {
    std::string out;
    while (out.size() < size) {
      out += "ab:"[below(3)];
    }
    return out;
  }

  std::string glob() {
    static const Words kParts{"*",
                              "?",
                              "[ab]",
                              "[^a]",
                              "*",
                              "a",
                              "b",
                              ":",
                              "ab:",
                              "{x}:",
                              "{y}a",
                              "{z}",
                              "*{w}b",
                              "\\{",
                              "b:",
                              "*:"};
    std::string out = text(below(4));
    for (auto n = below(5); n > 0; --n) {
      out += kParts[below(kParts.size())];
    }
    return config::glob_fault(out).empty() ? out : glob();
  }

  Words globs() {
    Words out(below(4));
    for (auto& each : out) {
      each = glob();
    }
    return out;
  }

  Words commands() {
    static const Words kWords{"get",
                              "set",
                              "mget",
                              "@read",
                              "@write",
                              "@string",
                              "config",
                              "config get",
                              "@fast",
                              "@admin",
                              "exec",
                              "info"};
    Words out(below(3));
    for (auto& each : out) {
      each = kWords[below(kWords.size())];
    }
    return out;
  }

  RuleMode mode() {
    constexpr RuleMode kModes[] = {RuleMode::Off, RuleMode::Observe, RuleMode::Enforce};
    return kModes[std::min<std::size_t>(below(8), 2)];
  }

 private:
  std::mt19937 engine_;
};

config::Policy random_policy(Random& random) {
  config::Policy policy;
  policy.mode = random.mode();
  for (const char* name : {"one", "two"}) {
    policy.classes.emplace_back().name = name;
    policy.classes.back().keys = {random.glob()};
  }
  for (auto n = random.below(80); n > 0; --n) {
    auto rule = limit(random.commands(), random.globs(), random.below(2) == 0 ? "" : "x");
    rule.capture = rule.per == config::Per::Capture ? std::string(1, "wxyz"[random.below(4)]) : "";
    rule.key_class = random.below(4) == 0 ? "one" : random.below(4) == 0 ? "two" : "";
    rule.mode = random.mode();
    policy.limits.push_back(rule);
  }
  for (auto n = random.below(80); n > 0; --n) {
    auto rule = denial(random.commands(), random.globs());
    rule.max_arguments = random.below(3) == 0 ? random.below(4) : 0;
    rule.mode = random.mode();
    policy.deny.push_back(rule);
  }
  return policy;
}

Words random_request(Random& random) {
  static const Words kRequests{"GET",
                               "SET",
                               "MGET",
                               "MGET",
                               "CONFIG GET",
                               "CONFIG SET",
                               "INFO",
                               "EXEC",
                               "DEL",
                               "HGET",
                               "nosuch",
                               "MSET"};
  auto words = split(kRequests[random.below(kRequests.size())]);
  for (auto n = 1 + random.below(5); n > 0; --n) {
    words.push_back(random.text(random.below(12)));
  }
  return words;
}

}  // namespace

TEST_CASE("request rules: as the plainest matcher finds them, for random rules and requests",
          "[policy]") {
  Random random(20261121);
  std::size_t limited = 0;
  std::size_t denied = 0;
  std::size_t passed = 0;
  for (int round = 0; round < 150; ++round) {
    const auto rules = compile(random_policy(random));
    for (int n = 0; n < 60; ++n) {
      const auto words = random_request(random);
      const Asked asked(*rules, words);
      std::string shown_request;
      for (const auto& word : words) {
        shown_request += word + " ";
      }
      INFO("round " << round << ": " << shown_request);
      const auto limits = limits_of(*rules, asked);
      const auto denial = denial_of(*rules, asked);
      REQUIRE(limits == naive_limits(*rules, asked));
      REQUIRE(denial == naive_denial(*rules, asked));
      if (passes_screen(*rules, asked)) {
        REQUIRE(limits.empty());
        REQUIRE(denial.empty());
        ++passed;
      }
      limited += limits.empty() ? 0 : 1;
      denied += denial.empty() ? 0 : 1;
    }
  }
  CHECK(limited > 4000);
  CHECK(denied > 3000);
  CHECK(passed > 500);
}

TEST_CASE("request rules: a hostile key is looked at in bounded time", "[policy]") {
  const std::string stars = "*a{x}:*b{y}:*{z}-c*a*b*a{w}:x*y";
  REQUIRE(config::glob_fault(stars).empty());
  const auto rules =
      compile(policy_of({limit({}, {stars, "*{x}:{y}-c*z"}, "x"), limit({}, {"*a?b*b?a*c"})}));
  std::string key;
  while (key.size() < 1'000'000) {
    key += "ab:ba-";
  }
  const Asked asked(*rules, Words{"GET", key});
  const auto begin = std::chrono::steady_clock::now();
  CHECK(limits_of(*rules, asked).empty());
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(10));
}

}  // namespace pannier::policy
