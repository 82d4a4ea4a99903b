#include "pannier/command/command.hpp"

#include "command_watch.hpp"
#include "pannier_process.hpp"
#include "raw_client.hpp"
#include "redis_server.hpp"
#include "request_maker.hpp"
#include "step_maker.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

// Behaviour 8.2: what only observes changes nothing that a client or the server can see, and counts
// what enforcing would do.
namespace pannier::test {

namespace {

constexpr long long kTolerance = 3000;  // ms, between the same request to two servers

// What every rule's own mode is, or the ceiling: "enforce" means that it acts.
struct Modes {
  std::string_view ceiling = "enforce";
  std::string_view own = "enforce";
};

std::string policy_of(const Modes& modes, std::string_view more_limits, bool read_only) {
  const std::string mode = ", mode: " + std::string(modes.own) + " }\n";
  std::string text = "version: 1\nmode: " + std::string(modes.ceiling) + "\n";
  text += read_only ? "read_only: true\n" : "";
  text += "classes:\n";
  for (const std::string_view rule :
       {"ttl, keys: [\"ttl:*\"], ttl: { default: 20m, min: 5m, max: 1h, jitter: 10% }",
        "must, keys: [\"must:*\"], ttl: { default: 20m, require: true }",
        "slide, keys: [\"slide:*\"], tier: session, ttl: { default: 30m, sliding: true }",
        "cached, keys: [\"cached:*\"], tier: application, "
        "cache: { ttl: 30s, negative: 2s, mget: true, stale_if_error: 1m, sample: 10% }",
        "live, keys: [\"live:*\"], store: never",
        "plain, keys: [\"plain:*\"], scripts: deny",
        "counted, keys: [\"cnt:*\"], tier: operational"}) {
    text += "  - { name: " + std::string(rule) + mode;
  }
  text += "limits:\n";
  for (const std::string_view rule :
       {"user, keys: [\"lim:{user}:*\"], per: { user }, rate: 1/24h, burst: 30",
        "reads, keys: [\"lim:*\"], commands: [\"@read\"], per: client, rate: 1/24h, burst: 4",
        "class, class: counted, rate: 1/24h, burst: 30",
        "bytes, keys: [\"byt:*\"], commands: [\"@read\", \"@write\"], cost: bytes, rate: 1B/24h, "
        "burst: 1KiB"}) {
    text += "  - { name: " + std::string(rule) + mode;
  }
  text += more_limits.empty() ? "" : "  - { name: " + std::string(more_limits) + mode;
  text += "deny:\n";
  for (const std::string_view rule :
       {"no-writes, keys: [\"den:*\"], commands: [\"@write\"]",
        "no-flush, commands: [FLUSHALL, FLUSHDB, SWAPDB, \"FUNCTION LOAD\", SUBSCRIBE]",
        "few, keys: [\"few:*\"], max_arguments: 3",
        "small, keys: [\"big:*\"], max_value: 50B"}) {
    text += "  - { name: " + std::string(rule) + mode;
  }
  return text;
}

constexpr std::string_view kPatient =
    "lanes: { min: 1, max: 2 }, timeouts: { connect: 2s, attempt: 2s, read: 20s, write: 20s }";

// A server behind a Pannier, and its clients.
class Side {
 public:
  explicit Side(std::optional<std::string> policy)
      : pannier_({upstream_of({server_.address()}, kPatient), {}, {}, std::move(policy)}) {
    for (std::size_t i = 0; i < kConnections; ++i) {
      clients_.emplace_back(pannier_.port());
    }
    REQUIRE(clients_[1].call({"HELLO", "3", "SETNAME", "one"}).starts_with('%'));
    REQUIRE(clients_[2].call({"SELECT", "2"}) == "+OK\r\n");
  }

  // Changes are heard of, so that replies may be kept.
  // Until then COMMAND is answered from the table.
  [[nodiscard]] bool has_upstream() const { return pannier_.metric_sum("pannier_upstream_up") > 0; }

  [[nodiscard]] bool is_coherent() const {
    return pannier_.metric_sum("pannier_coherence_rung", "rung=\"resp3\"") > 0;
  }

  void send(const Step& step) {
    std::string bytes;
    for (const RequestMaker::Request& each : step.requests) {
      bytes += request(Words(each.words.begin(), each.words.end()));
    }
    clients_[step.connection].send(bytes);
  }

  [[nodiscard]] std::vector<std::string> read(const Step& step) {
    std::vector<std::string> replies;
    for (std::size_t i = 0; i < step.requests.size(); ++i) {
      replies.push_back(clients_[step.connection].read());
    }
    return replies;
  }

  // Of each, past Pannier.
  [[nodiscard]] std::vector<std::string> ask_all(std::string_view command,
                                                 std::string_view db,
                                                 const std::vector<std::string>& keys) {
    std::string bytes = request({"SELECT", db});
    for (const std::string& key : keys) {
      bytes += request({command, key});
    }
    direct_.send(bytes);
    static_cast<void>(direct_.read());
    std::vector<std::string> replies;
    for (std::size_t i = 0; i < keys.size(); ++i) {
      replies.push_back(direct_.read());
    }
    return replies;
  }

  [[nodiscard]] std::map<std::string, long long> calls();
  [[nodiscard]] std::vector<std::string> commands();

  [[nodiscard]] const PannierProcess& pannier() const { return pannier_; }

 private:
  RedisServer server_;
  RawClient direct_{server_.port()};
  CommandWatch watch_{server_};  // from before the first canary
  PannierProcess pannier_;
  std::vector<RawClient> clients_;
};

// Pannier asks these of its own accord: at connecting, to know how the server is, and to know its
// commands.
bool is_probe(std::string_view name) {
  constexpr std::string_view kProbes[] = {"auth", "hello", "info", "ping", "role", "select"};
  return name.starts_with("client") || name.starts_with("command") || name == "monitor" ||
         std::find(std::begin(kProbes), std::end(kProbes), name) != std::end(kProbes);
}

// How often the server ran each command, but for probes.
std::map<std::string, long long> Side::calls() {
  const auto canaries = [this] {
    return std::pair(watch_.count({"GET", "pannier:canary"}),
                     watch_.count({"SET", "pannier:canary"}));
  };
  auto [gets, sets] = canaries();
  std::string stats;
  do {
    std::tie(gets, sets) = canaries();
    stats = text_of(direct_.call({"INFO", "commandstats"}));
  } while (std::pair(gets, sets) != canaries());
  std::map<std::string, long long> out;
  constexpr std::string_view kBegin = "cmdstat_";
  for (std::size_t at = stats.find(kBegin); at != std::string::npos; at = stats.find(kBegin, at)) {
    at += kBegin.size();
    const std::size_t end = stats.find(':', at);
    const std::string name = stats.substr(at, end - at);
    constexpr std::string_view kCalls = "calls=";
    if (!is_probe(name)) {
      out[name] = std::atoll(stats.c_str() + stats.find(kCalls, end) + kCalls.size());
    }
  }
  out["get"] -= static_cast<long long>(gets);
  out["set"] -= static_cast<long long>(sets);
  out.erase("echo");  // the marks of CommandWatch
  return out;
}

// What the server ran, in its order, but for probes.
std::vector<std::string> Side::commands() {
  std::vector<std::string> out;
  for (std::string& line : watch_.lines()) {
    std::string name = line.substr(1, line.find('"', 1) - 1);
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) {
      return static_cast<char>(std::tolower(c));
    });
    if (!is_probe(name) && line.find("\"pannier:canary\"") == std::string::npos) {
      out.push_back(std::move(line));
    }
  }
  return out;
}

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) {
    out += word.substr(0, 60) + ' ';
  }
  return out;
}

long long integer_of(const std::string& reply) {
  return reply.starts_with(':') ? std::atoll(reply.c_str() + 1) : -100;
}

bool are_near(const std::string& one, const std::string& other) {
  const long long a = integer_of(one);
  const long long b = integer_of(other);
  return a == b || (a >= 0 && b >= 0 && std::llabs(a - b) <= kTolerance);
}

// Both sides are asked the same; what they answer is compared byte by byte.
void compare_replies(Side& subject, Side& reference, const std::vector<Step>& steps) {
  for (const Step& step : steps) {
    subject.send(step);
    reference.send(step);
    const auto got = subject.read(step);
    const auto wanted = reference.read(step);
    for (std::size_t i = 0; i < got.size(); ++i) {
      const RequestMaker::Request& asked = step.requests[i];
      if (got[i] == wanted[i] || (asked.tells_time && are_near(got[i], wanted[i]))) {
        continue;
      }
      CAPTURE(step.connection, i, step.requests.size(), joined(asked.words));
      CHECK(got[i].substr(0, 300) == wanted[i].substr(0, 300));
      return;
    }
  }
}

// The same keys with the same values and lives. The dump of a stream tells when it was read.
void compare_keys(Side& subject, Side& reference, const std::vector<std::string>& keys) {
  for (const std::string_view db : {"0", "1", "2"}) {
    const auto types = reference.ask_all("TYPE", db, keys);
    CHECK(subject.ask_all("TYPE", db, keys) == types);
    const auto dumps = subject.ask_all("DUMP", db, keys);
    const auto wanted = reference.ask_all("DUMP", db, keys);
    const auto lives = subject.ask_all("PTTL", db, keys);
    const auto wanted_lives = reference.ask_all("PTTL", db, keys);
    for (std::size_t i = 0; i < keys.size(); ++i) {
      CAPTURE(db, keys[i], lives[i], wanted_lives[i]);
      CHECK(are_near(lives[i], wanted_lives[i]));
      CHECK((dumps[i] == wanted[i] || types[i] == "+stream\r\n"));
    }
  }
}

void compare_commands(Side& subject, Side& reference) {
  const auto got = subject.commands();
  const auto wanted = reference.commands();
  auto more = subject.calls();
  for (const auto& [name, count] : reference.calls()) {
    more[name] -= count;
  }
  for (const auto& [name, count] : more) {
    CAPTURE(name);
    CHECK(count == 0);
  }
  const auto [one, other] = std::mismatch(got.begin(), got.end(), wanted.begin(), wanted.end());
  CHECK((one == got.end() ? "nothing more" : one->substr(0, 300)) ==
        (other == wanted.end() ? "nothing more" : other->substr(0, 300)));
}

// Every rule has something to tell; otherwise that nothing differs would prove nothing.
void check_observed(const PannierProcess& pannier, bool read_only) {
  const auto sum = [&](std::string_view family, const std::string& labels) {
    return pannier.metric_sum(family, labels);
  };
  for (const char* labels : {"class=\"ttl\",action=\"default\"",
                             "class=\"ttl\",action=\"raised\"",
                             "class=\"ttl\",action=\"shortened\"",
                             "class=\"ttl\",action=\"jittered\"",
                             "class=\"must\",action=\"required\"",
                             "class=\"slide\",action=\"default\"",
                             "class=\"live\",action=\"not_stored\"",
                             "class=\"live\",action=\"not_read\"",
                             "class=\"plain\",action=\"script\""}) {
    CAPTURE(labels);
    CHECK(sum("pannier_ttl_observed_total", labels) > 0);
  }
  CHECK(sum("pannier_ttl_applied_total", "class=") == 0);
  CHECK(sum("pannier_shadow_hits_total", "class=\"cached\"") > 0);
  CHECK(sum("pannier_shadow_stale_total", "class=\"cached\"") == 0);
  for (const char* name : {"user", "reads", "class", "bytes", "fleet"}) {
    CAPTURE(name);
    const std::string limit = "limit=\"" + std::string(name) + "\",mode=";
    CHECK(sum("pannier_limit_admitted_total", limit + "\"observe\"") > 0);
    CHECK(sum("pannier_limit_refused_total", limit + "\"observe\"") > 0);
    CHECK(sum("pannier_limit_refused_total", limit + "\"enforce\"") == 0);
  }
  CHECK(sum("pannier_limit_asks_total", "limit=\"fleet\"") == 0);
  const std::vector<std::string> denials =
      read_only ? std::vector<std::string>{"read_only"}
                : std::vector<std::string>{"no-writes", "no-flush", "few", "small"};
  for (const std::string& name : denials) {
    CAPTURE(name);
    CHECK(sum("pannier_denied_total", "rule=\"" + name + "\",mode=\"observe\"") > 0);
  }
  CHECK(sum("pannier_denied_total", "mode=\"enforce\"") == 0);
}

using Counts = std::map<std::string, double>;

// The samples of the families that say what rules did, by their labels without the mode.
Counts counts_of(const PannierProcess& pannier, bool observed) {
  const std::string mode = observed ? ",mode=\"observe\"" : ",mode=\"enforce\"";
  Counts out;
  for (const char* name : {"ttl", "must", "live", "plain"}) {
    for (const char* action : {"default",
                               "raised",
                               "shortened",
                               "jittered",
                               "required",
                               "not_stored",
                               "not_read",
                               "script"}) {
      const std::string labels =
          "{class=\"" + std::string(name) + "\",action=\"" + std::string(action) + "\"}";
      out[labels] = pannier.metric(
          (observed ? "pannier_ttl_observed_total" : "pannier_ttl_applied_total") + labels);
    }
  }
  for (const char* name : {"user", "reads", "class", "bytes"}) {
    for (const char* what : {"admitted", "refused"}) {
      const std::string labels = "{limit=\"" + std::string(name) + "\"";
      out[what + labels] =
          pannier.metric("pannier_limit_" + std::string(what) + "_total" + labels + mode + "}");
    }
  }
  for (const char* name : {"no-writes", "no-flush", "few", "small"}) {
    const std::string labels = "{rule=\"" + std::string(name) + "\"";
    out[labels] = pannier.metric("pannier_denied_total" + labels + mode + "}");
  }
  return out;
}

unsigned new_seed() {
  const char* given = std::getenv("PANNIER_TEST_SEED");
  const unsigned seed =
      given != nullptr ? static_cast<unsigned>(std::atol(given)) : std::random_device{}();
  WARN("PANNIER_TEST_SEED=" << seed);
  return seed;
}

constexpr std::size_t kRequests = 4000;

double observed(const Side& side, std::string_view name, std::string_view action) {
  return side.pannier().metric("pannier_ttl_observed_total{class=\"" + std::string(name) +
                               "\",action=\"" + std::string(action) + "\"}");
}

}  // namespace

TEST_CASE("observe: what is asked is all that can be compared", "[observe]") {
  RequestMaker maker(1, kPrefixes);
  std::set<std::string> asked;
  for (int i = 0; i < 1500; ++i) {
    const auto words = maker.next().words;
    const std::vector<std::string_view> views(words.begin(), words.end());
    if (const command::CommandSpec* row = command::find(views)) {
      asked.insert(std::string(row->name));
    }
  }
  for (const std::string_view name : maker.commands()) {
    CAPTURE(name);
    CHECK(asked.contains(std::string(name)));
  }
  CHECK(asked.size() > 250);
}

TEST_CASE("observe: no client and no server can see that rules observe", "[observe]") {
  const bool by_ceiling = GENERATE(true, false);
  CAPTURE(by_ceiling);
  const unsigned seed = new_seed();
  CAPTURE(seed);
  const std::string fleet =
      "fleet, keys: [\"free:*\"], rate: 1/24h, burst: 50, scope: fleet, "
      "on_upstream_error: closed";
  const Modes modes = by_ceiling ? Modes{"observe", "enforce"} : Modes{"enforce", "observe"};
  Side subject(policy_of(modes, fleet, by_ceiling));
  Side reference(std::nullopt);
  REQUIRE(wait_until([&] { return subject.is_coherent() && reference.has_upstream(); }));
  compare_replies(subject, reference, StepMaker(seed, false).make(kRequests));
  compare_keys(subject, reference, RequestMaker(seed, kPrefixes).all_keys());
  compare_commands(subject, reference);
  check_observed(subject.pannier(), by_ceiling);
}

TEST_CASE("observe: counts what enforcing does", "[observe]") {
  const unsigned seed = new_seed();
  CAPTURE(seed);
  const auto steps = StepMaker(seed, true).make(kRequests);
  Side watched(policy_of({"enforce", "observe"}, {}, false));
  Side strict(policy_of({"enforce", "enforce"}, {}, false));
  for (const Step& step : steps) {
    watched.send(step);
    strict.send(step);
    static_cast<void>(watched.read(step));
    static_cast<void>(strict.read(step));
  }
  const Counts observed = counts_of(watched.pannier(), true);
  for (const auto& [what, count] : counts_of(strict.pannier(), false)) {
    CAPTURE(what);
    CHECK(observed.at(what) == count);
  }
  const auto refusals = std::count_if(
      observed.begin(), observed.end(), [](const auto& each) { return each.second > 0; });
  CHECK(refusals > 15);
}

TEST_CASE("observe: counts nothing that enforcing would not do", "[observe]") {
  Side side(policy_of({"observe", "enforce"}, {}, false));
  RawClient client(side.pannier().port());
  SECTION("a script with two keys is refused once") {
    CHECK(client.call({"EVAL", "return 1", "2", "plain:a", "plain:b"}) == ":1\r\n");
    CHECK(observed(side, "plain", "script") == 1);
  }
  SECTION("reads that go upstream all the same") {
    CHECK(client.call({"MGET", "live:a", "free:a"}) == "*2\r\n$-1\r\n$-1\r\n");
    CHECK(client.call({"LCS", "live:a", "live:b"}) == bulk(""));
    CHECK(observed(side, "live", "not_read") == 0);
    CHECK(client.call({"MGET", "live:a", "live:b"}) == "*2\r\n$-1\r\n$-1\r\n");
    CHECK(observed(side, "live", "not_read") == 1);
  }
  SECTION("a life is renewed in its second half") {
    CHECK(client.call({"SET", "slide:a", "v"}) == "+OK\r\n");
    for (const char* key : {"slide:a", "slide:a", "slide:none"}) {
      static_cast<void>(client.call({"GET", key}));
    }
    CHECK(observed(side, "slide", "renewed") == 0);
  }
}

TEST_CASE("observe: counts that a life is renewed", "[observe]") {
  const RedisServer server;
  const PannierProcess pannier(
      {upstream_of({server.address()}, kPatient),
       {},
       {},
       "version: 1\nmode: observe\nclasses:\n"
       "  - { name: s, keys: [\"s:*\"], ttl: { default: 200ms, sliding: true } }\n"});
  RawClient client(pannier.port());
  const auto renewed = [&] {
    return pannier.metric("pannier_ttl_observed_total{class=\"s\",action=\"renewed\"}");
  };
  CHECK(client.call({"SET", "s:a", "v"}) == "+OK\r\n");
  CHECK(wait_until([&] { return client.call({"GET", "s:a"}) == bulk("v") && renewed() == 2; }));
  CHECK(client.call_integer({"PTTL", "s:a"}) == -1);
}

}  // namespace pannier::test
