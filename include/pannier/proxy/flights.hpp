#pragma once

#include "pannier/base/clock.hpp"
#include "pannier/base/timer_queue.hpp"
#include "pannier/cache/near_cache.hpp"
#include "pannier/command/command.hpp"
#include "pannier/policy/rules.hpp"
#include "pannier/resp/protocol.hpp"
#include "pannier/upstream/connection.hpp"
#include "pannier/upstream/slot.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace pannier::proxy {

// A reply that is wanted from a flight or from a lease: a place in a session's order.
struct Asker {
  upstream::SessionRef session;
  std::uint32_t place = 0;
  bool silent = false;     // CLIENT REPLY OFF/SKIP
  std::uint64_t wait = 0;  // token of the lease wait that it belongs to, see LeaseWaits; 0: none
};

enum class FlightKind : std::uint8_t {
  Read,     // a client asked; others may join
  Refresh,  // Pannier's own, so that a kept reply stays fresh; others may join
  Sample,   // Pannier's own, from the primary, to compare a hit with
  Element,  // a key of an MGET: its reply comes with that one's
  Shadow    // a client asked for a key of a class that only observes: nobody joins
};

// The cached class and the identity of one read: what the cache is asked and what a flight carries.
struct CachedRead {
  const command::CommandSpec* row = nullptr;
  std::span<const std::string_view> arguments;
  cache::Query query;  // its views are those of `arguments`
  resp::Version version = resp::Version::Resp2;

  // Of all that makes the reply another one, the encoding of nil too.
  [[nodiscard]] std::uint64_t identity() const;
};

// One upstream read in progress whose reply may be kept and shared (research/coherence.md §1.3). It
// belongs to the worker, not to the client that asked first: when that one goes, the others still
// get their answer. The first asker, if any, is the slot's session; the rest have joined.
struct Flight {
  static constexpr std::size_t kMaxJoiners = 65536;
  static constexpr auto kMaxJoinAge = std::chrono::milliseconds(50);

  FlightKind kind = FlightKind::Read;
  std::uint8_t slots = 0;  // requests of it that are not settled; it dies with the last one
  bool joinable = false;
  bool keep = false;         // the reply may be installed, if the ticket holds
  bool tracked = false;      // its node tells of changes: see cache::NearCache::Reply
  bool answered = false;     // its askers have their reply, or their error
  bool is_last_try = false;  // it may have run before, see proxy/retry.hpp
  bool announced = false;
  bool overflowed = false;  // the reply is over max_value: it is not held
  std::uint64_t identity = 0;
  const command::CommandSpec* row = nullptr;
  policy::ClassId key_class = policy::kNoClass;
  policy::RulesPtr rules;  // of the moment when it began
  resp::Version version = resp::Version::Resp2;
  std::uint32_t db = 0;
  route::NodeId node = route::kNoNode;
  cache::Ticket ticket;
  base::TimePoint sent{};
  std::uint8_t tries = 0;   // before this one
  base::TimePoint asked{};  // as `sent`, but for a further try: when the first began
  std::uint64_t hash = 0;   // of the key
  std::vector<std::string_view> arguments;  // views into `words`
  std::string words;
  std::string reply;        // collected so far, then whole
  std::size_t charged = 0;  // for it, see Flights::charge
  std::vector<Asker> joiners;
  std::uint64_t digest = 0;  // Sample, Shadow: of the hit; 0: there was none
  base::Duration hit_age{};  // Sample

  [[nodiscard]] std::string_view key() const { return arguments[1]; }

  [[nodiscard]] const config::PolicyClass& rule() const { return rules->at(key_class); }

  [[nodiscard]] CachedRead read() const;
};

// The flights of one worker. An id is never 0 and stays valid until `drop`. Memory is kept for
// reuse. Not thread-safe.
class Flights {
 public:
  using Id = std::uint32_t;

  // Copies the request into a new flight.
  [[nodiscard]] Id open(const CachedRead& read);
  // REQUIRES: slots == 0 and no joiner is left. `memory`: see `charge`.
  void drop(Id id, std::size_t& memory);

  [[nodiscard]] Flight& operator[](Id id) { return *flights_[id - 1]; }

  // From now on, reads of its identity find it.
  void announce(Id id);
  // The flight that a read of this identity could join, or 0.
  [[nodiscard]] Id find(const CachedRead& read);
  // Nobody may join any more.
  void withdraw(Id id);

  // Of the flight's reply, which has changed: what it takes is added to `memory`.
  void charge(Id id, std::size_t& memory);

  [[nodiscard]] std::size_t open_count() const { return flights_.size() - free_.size(); }

  // The CLIENT ID that a lane's tracked reads are told to; 0: to be asked for anew. A lane that has
  // never tracked is not there.
  std::unordered_map<const upstream::Connection*, std::int64_t> redirects;

 private:
  std::vector<std::unique_ptr<Flight>> flights_;
  std::vector<Id> free_;
  std::unordered_map<std::uint64_t, Id> by_identity_;
};

// The keys of an MGET that is under way.
struct MgetFill {
  static constexpr std::size_t kMaxKeys = 128;  // of a reply that is held whole

  struct Key {
    std::string name;
    std::uint64_t hash = 0;
    bool kept = false;         // memory has a fresh one
    bool repeated = false;     // it stands before this one, too
    std::uint32_t flight = 0;  // that keeps its element; 0: none
  };

  std::vector<Key> keys;
  std::uint8_t db = 0;
};

// A read that found nothing upstream and waits for the holder of the key's lease.
struct LeaseWait {
  Asker asker;
  CachedRead read;  // its views point into `words`
  std::vector<std::string_view> arguments;
  std::string words;
  policy::RulesPtr rules;
  base::TimerQueue::Id timer{};
  std::uint32_t generation = 0;
  bool hold = false;  // pipelined: hold
  bool in_use = false;
  bool in_flight = false;  // upstream is asked again
  bool ask_again = false;  // woken while it was
  bool for_room = false;  // nobody fills the key, but no more nils may be given: see cache::MissCap
  bool granted = false;   // and it has the lease meanwhile
};

// The reads of one worker that wait for leases. Ids are never 0.
class LeaseWaits {
 public:
  using Id = std::uint32_t;

  // Copies the read.
  [[nodiscard]] Id open(const CachedRead& read, policy::RulesPtr rules);
  void close(Id id);

  [[nodiscard]] LeaseWait& operator[](Id id) { return *waits_[id - 1]; }

  // What cache::Leases knows it by, and back; 0 when that wait is over.
  [[nodiscard]] std::uint64_t token(Id id) const;
  [[nodiscard]] Id find(std::uint64_t token) const;

 private:
  std::vector<std::unique_ptr<LeaseWait>> waits_;
  std::vector<Id> free_;
};

}  // namespace pannier::proxy
