#include "pannier/config/policy_words.hpp"

#include "pannier/base/bytes.hpp"

#include "scalars.hpp"

#include <fmt/core.h>

#include <algorithm>

namespace pannier::config {
namespace {

constexpr std::size_t kShownWords = 4;

// What most rules say is not worth a word.
std::string mode_suffix(RuleMode mode) {
  return mode == RuleMode::Enforce ? "" : fmt::format(" ({})", to_word(mode));
}

std::string amount(const LimitRule& limit, std::uint64_t number) {
  return limit.cost == Cost::Bytes ? base::human_bytes(number) : std::to_string(number);
}

// "keys search:*, commands @write, class cart"; empty for all requests.
std::string matched(const std::vector<std::string>& keys,
                    const std::vector<std::string>& commands,
                    const std::string& key_class) {
  std::string out;
  const auto add = [&](const char* what, const std::string& words) {
    if (!words.empty()) {
      out += fmt::format("{}{} {}", out.empty() ? "" : ", ", what, words);
    }
  };
  add("keys", listed(keys));
  add("commands", listed(commands));
  add("class", base::printable(key_class));
  return out;
}

}  // namespace

const char* to_word(RuleMode mode) {
  switch (mode) {
    case RuleMode::Off:
      return "off";
    case RuleMode::Observe:
      return "observe";
    case RuleMode::Enforce:
      return "enforce";
  }
  return "unknown";
}

const char* to_word(Tier tier) {
  switch (tier) {
    case Tier::None:
      return "none";
    case Tier::Operational:
      return "operational";
    case Tier::Application:
      return "application";
    case Tier::Session:
      return "session";
  }
  return "unknown";
}

const char* to_word(OnError on_error) {
  switch (on_error) {
    case OnError::Fail:
      return "fail";
    case OnError::Stale:
      return "stale";
    case OnError::Miss:
      return "miss";
  }
  return "unknown";
}

const char* to_word(Per per) {
  switch (per) {
    case Per::All:
      return "all";
    case Per::Client:
      return "client";
    case Per::Capture:
      return "capture";
  }
  return "unknown";
}

const char* to_word(OnUpstreamError on_error) {
  switch (on_error) {
    case OnUpstreamError::Local:
      return "local";
    case OnUpstreamError::Open:
      return "open";
    case OnUpstreamError::Closed:
      return "closed";
  }
  return "unknown";
}

std::string in_words(Milliseconds duration) {
  return duration_text(duration.count() * 1000);
}

std::string listed(const std::vector<std::string>& words) {
  std::string out;
  const auto count = std::min(words.size(), kShownWords);
  for (std::size_t i = 0; i < count; ++i) {
    out += (i == 0 ? "" : " ") + base::printable(words[i]);
  }
  if (words.size() > count) {
    out += fmt::format(" and {} more", words.size() - count);
  }
  return out;
}

std::string in_words(const CacheRules& cache) {
  auto out = fmt::format("cache {} {}",
                         in_words(cache.ttl),
                         cache.coherence == Coherence::Tracking ? "tracking" : "ttl");
  if (cache.negative.count() > 0) {
    out += ", negative " + in_words(cache.negative);
  }
  out += ", values to " + base::human_bytes(cache.max_value);
  if (cache.refresh_ahead > 0) {
    out += fmt::format(", refreshed after {}%", cache.refresh_ahead);
  }
  if (cache.stale_while_revalidate.count() > 0) {
    out += ", stale while refreshed " + in_words(cache.stale_while_revalidate);
  }
  if (cache.stale_if_error.count() > 0) {
    out += ", stale if error " + in_words(cache.stale_if_error);
  }
  if (cache.mget) {
    out += ", MGET too";
  }
  if (cache.sample > 0) {
    out += fmt::format(", {}% of hits compared", cache.sample);
  }
  return out + mode_suffix(cache.mode);
}

std::string in_words(const MissRules& miss) {
  auto out = fmt::format("misses wait {} for a lease of {}{}",
                         in_words(miss.wait),
                         in_words(miss.lease),
                         miss.pipelined == Pipelined::Hold ? ", pipelines too" : "");
  if (miss.concurrent > 0) {
    out += fmt::format(", {} at a time", miss.concurrent);
  }
  return out;
}

std::string in_words(const TtlRules& ttl) {
  std::string out;
  const auto add = [&](const std::string& words) {
    out += (out.empty() ? "TTL " : ", ") + words;
  };
  if (ttl.preset.count() > 0) {
    add("default " + in_words(ttl.preset));
  }
  if (ttl.min.count() > 0) {
    add("at least " + in_words(ttl.min));
  }
  if (ttl.max.count() > 0) {
    add("at most " + in_words(ttl.max));
  }
  if (ttl.jitter > 0) {
    add(fmt::format("shortened by up to {}%", ttl.jitter));
  }
  if (ttl.sliding) {
    add("renewed by reads");
  }
  if (ttl.require) {
    add("required");
  }
  return (out.empty() ? "TTL as clients say" : out) + mode_suffix(ttl.mode);
}

std::string in_words(const PolicyClass& each) {
  std::string out;
  const auto add = [&](const std::string& words) {
    out += (out.empty() ? "" : "; ") + words;
  };
  if (each.mode != RuleMode::Enforce) {
    add(std::string("mode ") + to_word(each.mode));
  }
  if (each.store == Store::Never) {
    add("never stored, reads find nothing");
  }
  if (each.reads) {
    add(std::string("reads ") + to_string(*each.reads));
  }
  if (each.ttl) {
    add(in_words(*each.ttl));
  }
  add(each.cache ? in_words(*each.cache) : "not cached");
  if (each.miss) {
    add(in_words(*each.miss));
  }
  if (each.scripts == Scripts::Deny) {
    add("no scripts");
  }
  if (each.on_error != OnError::Fail) {
    add(std::string("on error ") + to_word(each.on_error));
  }
  return out;
}

std::string rate_in_words(const LimitRule& limit) {
  return amount(limit, limit.count) + "/" + in_words(limit.period);
}

std::string burst_in_words(const LimitRule& limit) {
  return amount(limit, limit.burst);
}

std::string in_words(const LimitRule& limit) {
  const auto what = matched(limit.keys, limit.commands, limit.key_class);
  auto out = (what.empty() ? "all requests" : what) + "; " + rate_in_words(limit);
  if (limit.burst > 0) {
    out += fmt::format(" and {} more at once", burst_in_words(limit));
  }
  if (limit.per == Per::Capture) {
    out += " per {" + limit.capture + "}";
  } else {
    out += limit.per == Per::Client ? " per client" : " in all";
  }
  if (limit.scope == Scope::Fleet) {
    out += fmt::format(", over all sidecars; without primary {}", to_word(limit.on_upstream_error));
  } else {
    out += ", in this sidecar";
  }
  return out + mode_suffix(limit.mode);
}

std::string in_words(const DenyRule& denial) {
  const auto what = matched(denial.keys, denial.commands, "");
  auto out = what.empty() ? "all requests" : what;
  if (denial.max_arguments > 0) {
    out += fmt::format("; only over {} arguments", denial.max_arguments);
  }
  if (denial.max_value > 0) {
    out += fmt::format("{} over {}",
                       denial.max_arguments > 0 ? " or an argument" : "; only with an argument",
                       base::human_bytes(denial.max_value));
  }
  return out + mode_suffix(denial.mode);
}

}  // namespace pannier::config
