#include "assign.hpp"
#include "keys.hpp"

#include <array>

namespace pannier::config {
namespace {

using D = Draft&;
using R = const Reading&;

constexpr std::int64_t kMaxTtl = 24 * kHour;
constexpr std::int64_t kMaxStoredTtl = 366 * 24 * kHour;
constexpr std::int64_t kMaxPeriod = 31 * 24 * kHour;
constexpr std::int64_t kMaxBurst = 1024 * kMiB;
constexpr std::int64_t kMaxValue = 64 * kMiB;
constexpr std::int64_t kMaxArgument = 512 * kMiB;  // what the server takes
constexpr std::int64_t kMaxConcurrent = 1 << 16;
constexpr std::string_view kModes = "off|observe|enforce";
constexpr std::string_view kOnErrors = "fail|stale|miss";
constexpr Milliseconds kLease{2000};

PolicyClass& last(D draft) {
  return draft.policy.classes.back();
}

CacheRules& cache(D draft) {
  return *last(draft).cache;
}

MissRules& miss(D draft) {
  return *last(draft).miss;
}

void add_class(D draft, R reading) {
  draft.policy.classes.emplace_back().line = reading.place.line;
}

void set_tier(D draft, R reading) {
  last(draft).tier = static_cast<Tier>(reading.number + 1);  // no word for none
}

void set_cache(D draft, R reading) {
  last(draft).cache = reading.flag ? std::optional(CacheRules{}) : std::nullopt;
}

// Whoever writes the section wants leases.
void set_miss(D draft, R reading) {
  last(draft).miss = reading.flag ? std::optional(MissRules{kLease}) : std::nullopt;
}

TtlRules& ttl(D draft) {
  return *last(draft).ttl;
}

void set_ttl(D draft, R reading) {
  last(draft).ttl = reading.flag ? std::optional(TtlRules{}) : std::nullopt;
}

void set_class_mode(D draft, R reading) {
  assign(last(draft).mode, reading);
  last(draft).mode_given = true;
}

LimitRule& limit(D draft) {
  return draft.policy.limits.back();
}

void add_limit(D draft, R reading) {
  draft.policy.limits.emplace_back().line = reading.place.line;
  draft.units.emplace_back();
}

void set_per(D draft, R reading) {
  assign(limit(draft).per, reading);
  limit(draft).capture = reading.text;
}

void set_rate(D draft, R reading) {
  limit(draft).count = static_cast<std::uint64_t>(reading.number);
  limit(draft).period = Milliseconds(reading.period / kMs);
  draft.units.back().rate = reading.flag;
}

void set_burst(D draft, R reading) {
  assign(limit(draft).burst, reading);
  draft.units.back().burst = reading.flag;
}

DenyRule& denial(D draft) {
  return draft.policy.deny.back();
}

void add_denial(D draft, R reading) {
  draft.policy.deny.emplace_back().line = reading.place.line;
}

void add_command(std::vector<std::string>& commands, D draft, R reading) {
  commands.push_back(reading.text);
  draft.commands.push_back(
      NamedCommand{reading.place.line, reading.place.column, reading.path, reading.text});
}

// A row reads better as one or two lines than as eight.
// clang-format off
constexpr std::array kKeys{
    Key{"", Type::Section, "", "the whole file"},

    Key{"version", Type::Count, "1", "of this format", [](D, R) {}, 1, 1},
    Key{"mode", Type::Choice, "enforce", "a ceiling for every rule",
        [](D d, R r) { assign(d.policy.mode, r); }, 0, 0, kModes},
    Key{"read_only", Type::Flag, "false", "true: nothing may write",
        [](D d, R r) { assign(d.policy.read_only, r); }},

    Key{"defaults", Type::Section, "", "of classes that do not say it themselves", [](D, R) {}},
    Key{"defaults.reads", Type::Choice, "", "where reads go, also of keys without a class",
        [](D d, R r) { assign(d.policy.reads.emplace(), r); }, 0, 0, kReadsWords},
    Key{"defaults.on_error", Type::Choice, "fail", "what a read gets when upstream is away",
        [](D d, R r) { assign(d.on_error, r); }, 0, 0, kOnErrors},

    Key{"classes", Type::List, "", "named sets of keys with their rules", [](D, R) {}, 0, 1024},
    Key{"classes[]", Type::Section, "", "a class", add_class},
    Key{"classes[].name", Type::Text, "", "as messages and metrics have it",
        [](D d, R r) { assign(last(d).name, r); }, 0, 64, "", true},
    Key{"classes[].keys", Type::List, "", "globs; the most specific one of all classes wins",
        [](D, R) {}, 1, 256, "", true},
    Key{"classes[].keys[]", Type::Glob, "", "a glob",
        [](D d, R r) { last(d).keys.push_back(r.text); }},
    Key{"classes[].mode", Type::Choice, "enforce", "a ceiling for the rules of this class",
        set_class_mode, 0, 0, kModes},
    Key{"classes[].tier", Type::Choice, "", "a preset of what follows",
        set_tier, 0, 0, "operational|application|session"},
    Key{"classes[].reads", Type::Choice, "", "where reads go",
        [](D d, R r) { assign(last(d).reads.emplace(), r); }, 0, 0, kReadsWords},
    Key{"classes[].on_error", Type::Choice, "fail", "what a read gets when upstream is away",
        [](D d, R r) { assign(last(d).on_error, r); }, 0, 0, kOnErrors},

    Key{"classes[].cache", Type::Switchable, "", "kept in memory; or off", set_cache},
    Key{"classes[].cache.mode", Type::Choice, "enforce", "observe: count what it would answer",
        [](D d, R r) { assign(cache(d).mode, r); }, 0, 0, kModes},
    Key{"classes[].cache.ttl", Type::Duration, "30s", "how long a value may be served",
        [](D d, R r) { assign(cache(d).ttl, r); }, 1 * kMs, kMaxTtl},
    Key{"classes[].cache.jitter", Type::Share, "10%", "a life is shortened by up to so much",
        [](D d, R r) { assign_percent(cache(d).jitter, r); }, 0, 90 * kPercent},
    Key{"classes[].cache.coherence", Type::Choice, "tracking", "how changes are noticed",
        [](D d, R r) { assign(cache(d).coherence, r); }, 0, 0, "tracking|ttl"},
    Key{"classes[].cache.negative", Type::Duration, "0s", "how long \"no such key\" may be served",
        [](D d, R r) { assign(cache(d).negative, r); }, 0, kMaxTtl},
    Key{"classes[].cache.max_value", Type::Size, "256KiB", "larger replies are not kept",
        [](D d, R r) { assign(cache(d).max_value, r); }, 1, kMaxValue},
    Key{"classes[].cache.refresh_ahead", Type::Share, "0%", "of a life; a hit later refreshes",
        [](D d, R r) { assign_percent(cache(d).refresh_ahead, r); }, 0, 99 * kPercent},
    Key{"classes[].cache.stale_while_revalidate", Type::Duration, "0s", "served while refreshed",
        [](D d, R r) { assign(cache(d).stale_while_revalidate, r); }, 0, kMaxTtl},
    Key{"classes[].cache.stale_if_error", Type::Duration, "0s", "served while upstream is away",
        [](D d, R r) { assign(cache(d).stale_if_error, r); }, 0, kMaxTtl},
    Key{"classes[].cache.mget", Type::Flag, "false", "MGET may be answered from memory",
        [](D d, R r) { assign(cache(d).mget, r); }},
    Key{"classes[].cache.sample", Type::FineShare, "0%", "of hits are compared with the primary",
        [](D d, R r) { cache(d).sample = static_cast<double>(r.number) / kShareUnit; },
        0, 100 * kPercent},

    Key{"classes[].miss", Type::Switchable, "", "one client fills a missing key; or off", set_miss},
    Key{"classes[].miss.lease", Type::Duration, "2s", "how long it may take",
        [](D d, R r) { assign(miss(d).lease, r); }, 1 * kMs, 60'000 * kMs},
    Key{"classes[].miss.wait", Type::Duration, "50ms", "how long the others wait for it",
        [](D d, R r) { assign(miss(d).wait, r); }, 0, 10'000 * kMs},
    Key{"classes[].miss.pipelined", Type::Choice, "skip", "what a later request does to a wait",
        [](D d, R r) { assign(miss(d).pipelined, r); }, 0, 0, "skip|hold"},
    Key{"classes[].miss.concurrent", Type::Count, "0", "clients at their database at a time; 0: any",
        [](D d, R r) { assign(miss(d).concurrent, r); }, 0, kMaxConcurrent},

    Key{"classes[].ttl", Type::Switchable, "", "how long what is stored lives; or off", set_ttl},
    Key{"classes[].ttl.mode", Type::Choice, "enforce", "observe: count what it would change",
        [](D d, R r) { assign(ttl(d).mode, r); }, 0, 0, kModes},
    Key{"classes[].ttl.default", Type::Duration, "", "of a store that says none",
        [](D d, R r) { assign(ttl(d).preset, r); }, 1 * kMs, kMaxStoredTtl},
    Key{"classes[].ttl.min", Type::Duration, "", "shorter ones are lengthened to it",
        [](D d, R r) { assign(ttl(d).min, r); }, 1 * kMs, kMaxStoredTtl},
    Key{"classes[].ttl.max", Type::Duration, "", "longer ones are shortened to it",
        [](D d, R r) { assign(ttl(d).max, r); }, 1 * kMs, kMaxStoredTtl},
    Key{"classes[].ttl.jitter", Type::Share, "0%", "a TTL is shortened by up to so much",
        [](D d, R r) { assign_percent(ttl(d).jitter, r); }, 0, 90 * kPercent},
    Key{"classes[].ttl.sliding", Type::Flag, "false", "reads renew it; needs default",
        [](D d, R r) { assign(ttl(d).sliding, r); }},
    Key{"classes[].ttl.require", Type::Flag, "false", "stores without a TTL are refused",
        [](D d, R r) { assign(ttl(d).require, r); }},

    Key{"classes[].store", Type::Choice, "allow", "never: always live, never in Redis",
        [](D d, R r) { assign(last(d).store, r); }, 0, 0, "allow|never"},
    Key{"classes[].scripts", Type::Choice, "allow", "deny: no EVAL or FCALL with such keys",
        [](D d, R r) { assign(last(d).scripts, r); }, 0, 0, "allow|deny"},

    Key{"limits", Type::List, "", "how often what may be done", [](D, R) {}, 0, 1024},
    Key{"limits[]", Type::Section, "", "a limit: for requests that fit keys, commands and class",
        add_limit},
    Key{"limits[].name", Type::Text, "", "as errors and metrics have it",
        [](D d, R r) { assign(limit(d).name, r); }, 0, 64, "", true},
    Key{"limits[].keys", Type::List, "", "globs; {name} captures what `per` counts by",
        [](D, R) {}, 1, 256},
    Key{"limits[].keys[]", Type::Glob, "", "a glob",
        [](D d, R r) { limit(d).keys.push_back(r.text); }},
    Key{"limits[].commands", Type::List, "", "GET, \"CONFIG SET\", \"@write\"",
        [](D, R) {}, 1, 256},
    Key{"limits[].commands[]", Type::Command, "", "a command or a category",
        [](D d, R r) { add_command(limit(d).commands, d, r); }},
    Key{"limits[].class", Type::Text, "", "keys of this class",
        [](D d, R r) { assign(limit(d).key_class, r); }, 0, 64},
    Key{"limits[].per", Type::Per, "all", "whose requests count together", set_per, 0, 0,
        "all|client"},
    Key{"limits[].rate", Type::Rate, "", "what may pass in which time: 60/1m, 10MiB/1s", set_rate,
        1 * kMs, kMaxPeriod, "", true},
    Key{"limits[].burst", Type::Amount, "0", "so much more at once", set_burst, 0, kMaxBurst},
    Key{"limits[].cost", Type::Choice, "request", "bytes: the size of requests counts",
        [](D d, R r) { assign(limit(d).cost, r); }, 0, 0, "request|bytes"},
    Key{"limits[].scope", Type::Choice, "sidecar", "fleet: all sidecars together",
        [](D d, R r) { assign(limit(d).scope, r); }, 0, 0, "sidecar|fleet"},
    Key{"limits[].on_upstream_error", Type::Choice, "local", "of a fleet limit without primary",
        [](D d, R r) { assign(limit(d).on_upstream_error, r); }, 0, 0, "local|open|closed"},
    Key{"limits[].mode", Type::Choice, "enforce", "observe: count what it would refuse",
        [](D d, R r) { assign(limit(d).mode, r); }, 0, 0, kModes},

    Key{"deny", Type::List, "", "what is refused", [](D, R) {}, 0, 1024},
    Key{"deny[]", Type::Section, "", "a denial: of requests that fit keys and commands",
        add_denial},
    Key{"deny[].name", Type::Text, "", "as errors and metrics have it",
        [](D d, R r) { assign(denial(d).name, r); }, 0, 64, "", true},
    Key{"deny[].keys", Type::List, "", "globs", [](D, R) {}, 1, 256},
    Key{"deny[].keys[]", Type::Glob, "", "a glob",
        [](D d, R r) { denial(d).keys.push_back(r.text); }},
    Key{"deny[].commands", Type::List, "", "GET, \"CONFIG SET\", \"@write\"",
        [](D, R) {}, 1, 256},
    Key{"deny[].commands[]", Type::Command, "", "a command or a category",
        [](D d, R r) { add_command(denial(d).commands, d, r); }},
    Key{"deny[].max_arguments", Type::Count, "", "only requests with more, the name included",
        [](D d, R r) { assign(denial(d).max_arguments, r); }, 1, 1 << 20},
    Key{"deny[].max_value", Type::Size, "", "only requests with a larger argument",
        [](D d, R r) { assign(denial(d).max_value, r); }, 1, kMaxArgument},
    Key{"deny[].hint", Type::Line, "", "what to do instead, for who reads the error",
        [](D d, R r) { assign(denial(d).hint, r); }, 0, 200},
    Key{"deny[].mode", Type::Choice, "enforce", "observe: count what it would refuse",
        [](D d, R r) { assign(denial(d).mode, r); }, 0, 0, kModes},
};

// clang-format on

constexpr KeyTable kTable(kKeys, "version: 1");

}  // namespace

const KeyTable& policy_keys() {
  return kTable;
}

}  // namespace pannier::config
