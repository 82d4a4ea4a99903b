#pragma once

#include "pannier/config/config.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

// What policy.yaml says, as plain values with presets and defaults in place. Made by the loader,
// checked whole, then immutable; shared by all threads. Sizes are bytes, shares are percent.
namespace pannier::config {

// What a rule does: nothing, count what it would have done, or act.
enum class RuleMode : std::uint8_t {
  Off,
  Observe,
  Enforce
};

// A preset of what a class does not say itself (design.md §3).
enum class Tier : std::uint8_t {
  None,
  Operational,  // primary reads, no near cache
  Application,  // same-zone reads, near cache, flights, leases
  Session       // no near cache, no sharing
};

enum class Coherence : std::uint8_t {
  Tracking,  // the best that the node offers, down to TTL only
  Ttl        // TTL only, whatever it offers
};

// What a read gets while no node that its class reads from can serve it (behaviour 6.2).
enum class OnError : std::uint8_t {
  Fail,   // an error
  Stale,  // a replica's answer, also where `reads` is primary, or a kept one past its time
  Miss    // "no such key": the service goes to its database
};

// What becomes of a read that waits for a lease when its session sends another request.
enum class Pipelined : std::uint8_t {
  Skip,  // it is answered nil at once
  Hold   // the later replies wait with it
};

struct CacheRules {
  RuleMode mode = RuleMode::Enforce;
  Milliseconds ttl{30000};    // how long a value may be served; the key's own TTL bounds it
  std::uint32_t jitter = 10;  // a life is shortened by up to so much
  Coherence coherence = Coherence::Tracking;
  Milliseconds negative{0};  // how long "there is no such key" may be served; 0: never kept
  std::uint64_t max_value = 256 * 1024;
  std::uint32_t refresh_ahead = 0;         // of a life that has passed; a hit after it refreshes
  Milliseconds stale_while_revalidate{0};  // after its TTL, while it is refreshed
  Milliseconds stale_if_error{0};          // after its TTL, while upstream is away
  bool mget = false;                       // MGET may be answered from memory, key by key
  double sample = 0;                       // share of hits that is compared with the primary

  [[nodiscard]] bool operator==(const CacheRules&) const = default;
};

struct MissRules {
  Milliseconds lease{0};  // how long one client may take to fill a key; 0: no leases
  Milliseconds wait{50};  // how long the others wait for it, in all
  Pipelined pipelined = Pipelined::Skip;
  // So many clients at most that were told "no such key" are at their database at a time; 0: any.
  std::uint32_t concurrent = 0;

  [[nodiscard]] bool operator==(const MissRules&) const = default;
};

// How long what clients store lives upstream (behaviour §4). A time of 0: there is no such rule.
struct TtlRules {
  RuleMode mode = RuleMode::Enforce;
  Milliseconds preset{0};  // `default`: of a store that says none
  Milliseconds min{0};
  Milliseconds max{0};
  std::uint32_t jitter = 0;  // a TTL is shortened by up to so much
  bool sliding = false;      // reads renew it; needs `preset`
  bool require = false;      // a store without a TTL is refused, where it could carry one

  [[nodiscard]] bool operator==(const TtlRules&) const = default;
};

enum class Store : std::uint8_t {
  Allow,
  Never  // always live: writes of a value are refused, reads find nothing (behaviour 4.6)
};

enum class Scripts : std::uint8_t {
  Allow,
  Deny  // EVAL, FCALL and the like with a key of the class
};

struct PolicyClass {
  std::string name;
  std::vector<std::string> keys;      // globs
  RuleMode mode = RuleMode::Enforce;  // a ceiling for the rules of this class
  bool mode_given = false;            // the class itself says it: `store: never` acts only then
  Tier tier = Tier::None;
  std::optional<Reads> reads;
  std::optional<CacheRules> cache;  // empty: not cached
  std::optional<MissRules> miss;
  OnError on_error = OnError::Fail;
  std::optional<TtlRules> ttl;
  Store store = Store::Allow;
  Scripts scripts = Scripts::Allow;
  int line = 0;  // in the file

  [[nodiscard]] bool operator==(const PolicyClass&) const = default;
};

// Whose requests count together.
enum class Per : std::uint8_t {
  All,
  Client,  // the name given by CLIENT SETNAME, else the listener
  Capture  // the part of the key that the glob's {name} stands for
};

enum class Cost : std::uint8_t {
  Request,  // each one 1
  Bytes     // the size of the request
};

enum class Scope : std::uint8_t {
  Sidecar,  // this process
  Fleet     // all that share the primary
};

// What a fleet limit does while the primary does not answer.
enum class OnUpstreamError : std::uint8_t {
  Local,  // this process alone keeps to the whole rate
  Open,   // nothing is limited
  Closed  // everything is refused
};

// A rate limit (behaviour §7). It holds for a request that fits all of keys, commands and class
// that are given; one of several words of a list is enough.
struct LimitRule {
  std::string name;
  std::vector<std::string> keys;      // globs; {name} captures
  std::vector<std::string> commands;  // "get", "config get" or "@category", in lower case
  std::string key_class;              // its name; empty: any
  Per per = Per::All;
  std::string capture;        // the name of it, for Per::Capture
  std::uint64_t count = 1;    // requests or bytes
  Milliseconds period{1000};  // in which `count` come anew, evenly
  std::uint64_t burst = 0;    // so much more at once
  Cost cost = Cost::Request;
  Scope scope = Scope::Sidecar;
  OnUpstreamError on_upstream_error = OnUpstreamError::Local;
  RuleMode mode = RuleMode::Enforce;
  int line = 0;

  [[nodiscard]] bool operator==(const LimitRule&) const = default;
};

// What is refused (behaviour 6.3). As with limits, all that is given must fit; `max_arguments` and
// `max_value` are refused when they are exceeded, and with neither of them the request itself is.
struct DenyRule {
  std::string name;
  std::vector<std::string> keys;
  std::vector<std::string> commands;
  std::uint64_t max_arguments = 0;  // of a request, its name included; 0: no such rule
  std::uint64_t max_value = 0;      // bytes of one argument; 0: no such rule
  std::string hint;                 // for who reads the error
  RuleMode mode = RuleMode::Enforce;
  int line = 0;

  [[nodiscard]] bool operator==(const DenyRule&) const = default;
};

struct Policy {
  RuleMode mode = RuleMode::Enforce;  // a ceiling for every rule
  bool read_only = false;             // nothing may write
  std::optional<Reads> reads;         // defaults.reads
  std::vector<PolicyClass> classes;
  std::vector<LimitRule> limits;
  std::vector<DenyRule> deny;

  [[nodiscard]] bool empty() const {
    return classes.empty() && limits.empty() && deny.empty() && !read_only;
  }
};

}  // namespace pannier::config
