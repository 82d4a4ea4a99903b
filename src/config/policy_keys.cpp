#include "assign.hpp"
#include "keys.hpp"

#include <array>

namespace pannier::config {
namespace {

using D = Draft&;
using R = const Reading&;

constexpr std::int64_t kMaxTtl = 24 * kHour;
constexpr std::int64_t kMaxValue = 64 * kMiB;
constexpr std::int64_t kPercent = kShareUnit;
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

void set_percent(std::uint32_t& out, R reading) {
  out = static_cast<std::uint32_t>(reading.number / kShareUnit);
}

// A row reads better as one or two lines than as eight.
// clang-format off
constexpr std::array kKeys{
    Key{"", Type::Section, "", "the whole file"},

    Key{"version", Type::Count, "1", "of this format", [](D, R) {}, 1, 1},
    Key{"mode", Type::Choice, "enforce", "a ceiling for every rule",
        [](D d, R r) { assign(d.policy.mode, r); }, 0, 0, kModes},

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
        [](D d, R r) { assign(last(d).mode, r); }, 0, 0, kModes},
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
        [](D d, R r) { set_percent(cache(d).jitter, r); }, 0, 90 * kPercent},
    Key{"classes[].cache.coherence", Type::Choice, "tracking", "how changes are noticed",
        [](D d, R r) { assign(cache(d).coherence, r); }, 0, 0, "tracking|ttl"},
    Key{"classes[].cache.negative", Type::Duration, "0s", "how long \"no such key\" may be served",
        [](D d, R r) { assign(cache(d).negative, r); }, 0, kMaxTtl},
    Key{"classes[].cache.max_value", Type::Size, "256KiB", "larger replies are not kept",
        [](D d, R r) { assign(cache(d).max_value, r); }, 1, kMaxValue},
    Key{"classes[].cache.refresh_ahead", Type::Share, "0%", "of a life; a hit later refreshes",
        [](D d, R r) { set_percent(cache(d).refresh_ahead, r); }, 0, 99 * kPercent},
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

    Key{"classes[].ttl", Type::Refused, "", "keys keep the TTL that clients give them"},
    Key{"classes[].store", Type::Refused, "", "`cache: off` keeps keys out of Pannier's memory"},
    Key{"classes[].scripts", Type::Refused, "", "scripts are always allowed"},
    Key{"limits", Type::Refused, "", "nothing is limited"},
    Key{"deny", Type::Refused, "", "nothing is denied; use the server's ACL"},
};

// clang-format on

constexpr KeyTable kTable(kKeys, "version: 1");

}  // namespace

const KeyTable& policy_keys() {
  return kTable;
}

}  // namespace pannier::config
