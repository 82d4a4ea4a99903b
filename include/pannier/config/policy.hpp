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

enum class OnError : std::uint8_t {
  Fail,
  Stale,
  Miss
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

  [[nodiscard]] bool operator==(const MissRules&) const = default;
};

struct PolicyClass {
  std::string name;
  std::vector<std::string> keys;      // globs
  RuleMode mode = RuleMode::Enforce;  // a ceiling for the rules of this class
  Tier tier = Tier::None;
  std::optional<Reads> reads;
  std::optional<CacheRules> cache;  // empty: not cached
  std::optional<MissRules> miss;
  OnError on_error = OnError::Fail;
  int line = 0;  // in the file

  [[nodiscard]] bool operator==(const PolicyClass&) const = default;
};

struct Policy {
  RuleMode mode = RuleMode::Enforce;  // a ceiling for every rule
  std::optional<Reads> reads;         // defaults.reads
  std::vector<PolicyClass> classes;

  [[nodiscard]] bool empty() const { return classes.empty(); }
};

}  // namespace pannier::config
