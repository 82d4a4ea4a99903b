#pragma once

#include "pannier/base/clock.hpp"
#include "pannier/base/shared_bytes.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace pannier::cache {

using NodeIndex = std::uint8_t;  // place of the node in the topology; < kMaxNodes
inline constexpr std::size_t kMaxNodes = 64;
using ClassIndex = std::uint16_t;  // policy::ClassId
inline constexpr std::size_t kMaxClasses = 1024;

// What a cached reply answers. Views must live as long as the call that gets it.
struct Query {
  std::uint64_t hash = 0;  // NearCache::hash(key)
  std::string_view key;
  std::span<const std::string_view> rest;  // the arguments behind the key, byte for byte
  std::uint16_t row = 0;                   // command::index_of
  std::uint8_t db = 0;                     // databases above 255 are not cached
  std::uint8_t version = 0;  // RESP version where the encoding of the reply differs, else 0
  ClassIndex key_class =
      0;  // of the key by the policy of now; what is kept under another is not found
};

// Taken before a read is sent; what must still hold when its reply is to be kept or shared.
struct Ticket {
  std::uint64_t key_word = 0;  // version and writes in flight of the key's counter
  std::uint64_t all_word = 0;  // the same of writes whose keys are not known
  std::uint64_t identity = 0;  // NearCache::identity of the query
  std::uint32_t shown = 0;     // how often replies to it were shown
  std::uint32_t epoch = 0;
  bool clean = false;  // no write to the key was in flight: the reply may be kept and shared

  [[nodiscard]] bool operator==(const Ticket&) const = default;
};

// How long a kept reply may be served, counted from the moment its request was sent.
struct Lifetime {
  base::TimePoint fresh_until;
  base::TimePoint keep_until;  // stale answers end here; >= fresh_until
  base::TimePoint refresh_at;  // a hit from here on should refresh it; TimePoint::max(): never
};

enum class Freshness : std::uint8_t {
  Fresh,
  Stale,    // its time has passed, keep_until has not; its node is coherent
  Unproven  // coherence with its node was lost since: only for stale_if_error
};

enum class Kept : std::uint8_t {
  Yes,
  Doomed,      // invalidated, flushed or written to since the ticket was taken, or over already
  Incoherent,  // its node has lost coherence
  TooLarge,    // over an eighth of a stripe's budget, or key or arguments over 64 KiB
  Full         // there is no room (budget 0)
};

// A kept reply. A small one is read under the lock of its stripe, which this object holds: use it
// at once, send nothing, look up nothing else meanwhile. A large one is a counted reference.
class Hit {
 public:
  Hit() = default;

  [[nodiscard]] explicit operator bool() const { return found_; }

  [[nodiscard]] std::string_view bytes() const { return bytes_; }

  // The same bytes as a reference that may be kept; empty for a small reply.
  [[nodiscard]] const base::SharedBytes& shared() const { return shared_; }

  Freshness freshness = Freshness::Fresh;
  bool negative = false;        // there is no such key; `bytes` is empty
  bool wants_refresh = false;   // refresh_at has passed; said once per entry and second
  NodeIndex node = 0;           // that served it
  base::TimePoint fresh_until;  // to a millisecond
  base::Duration age{};         // since its request was sent; roughly (it is derived)

 private:
  friend class NearCache;
  bool found_ = false;
  std::string_view bytes_;
  base::SharedBytes shared_;
  std::unique_lock<std::mutex> lock_;
};

struct ClassUse {
  std::uint64_t bytes = 0;
  std::uint64_t entries = 0;
  std::uint64_t evictions = 0;
  std::uint64_t expirations = 0;
};

// The near cache: replies by (db, RESP version where it matters, exact arguments), indexed by key
// so that one invalidation removes every variant. Shared by all workers, thread-safe; striped by
// key. Eviction is S3-FIFO in bytes per stripe (Yang et al., SOSP'23). Behind it lie the version
// counters that keep a reply from being installed when its key changed meanwhile
// (research/coherence.md §1.2): an installed value is never older than the last invalidation that
// was processed, nor than a reply to the same query that a client was shown before.
//
// Legal order for a fill: `begin` before the request's bytes are queued, `show` with that ticket
// before anybody gets its reply, `install` when it is known how long that lives. For a local write:
// `begin_write` before its bytes are queued, `end_write` when its outcome is known or its
// connection is gone.
class NearCache {
 public:
  static constexpr std::size_t kCopyUpTo = 4096;   // bytes of a reply that is read under the lock
  static constexpr std::size_t kMaxVariants = 64;  // kept replies per key; the oldest goes

  // `budget`: bytes for everything: entries, index, queues, ghosts. 0: nothing is kept. The index
  // is sized for it once; its pages cost nothing until they are used.
  explicit NearCache(std::size_t budget);
  ~NearCache();
  NearCache(const NearCache&) = delete;
  NearCache& operator=(const NearCache&) = delete;

  [[nodiscard]] static std::uint64_t hash(std::string_view key);
  // Of all that makes the reply another one; not of the class.
  [[nodiscard]] static std::uint64_t identity(const Query& query);

  // Pulls what `find` will read into the processor's caches: each of the three for all keys of a
  // batch, before the next, which reads what the one before has pulled.
  void prefetch_bucket(std::uint64_t hash) const;
  void prefetch_slot(std::uint64_t hash) const;
  void prefetch_entry(std::uint64_t hash) const;

  // False `Hit`: not there, or past keep_until, or flushed, or kept when the key had another class.
  [[nodiscard]] Hit find(const Query& query, base::TimePoint now);

  [[nodiscard]] Ticket begin(const Query& query) const;
  // No write and no invalidation of the key came since the ticket was taken, and nobody was shown
  // another reply to its query: who asks now may share that read's reply (§1.3).
  [[nodiscard]] bool may_join(const Ticket& ticket, const Query& query) const;

  struct Reply {
    NodeIndex node = 0;
    bool tracked = true;  // false: TTL only, coherence of the node does not matter
    bool negative = false;
    std::string_view bytes;     // as it goes to clients; empty when negative
    std::size_t charge_as = 0;  // 0: what it takes; else as if `bytes` were so long (shadow mode)
    Lifetime life;
  };

  // A reply to the query is about to be shown: other reads of it that are under way may be older,
  // so they are neither joined nor kept any more, and what is kept and differs goes. `ticket` is of
  // the read that brought it and stays good if it was. `bytes` as in Reply, empty: there is no such
  // key; none: they are not kept whatever they are.
  void show(const Query& query, Ticket& ticket, std::optional<std::string_view> bytes);

  Kept install(const Query& query, const Ticket& ticket, const Reply& reply, base::TimePoint now);

  // Someone changed the key: dooms its fills and removes its replies. Returns how many.
  std::size_t invalidate(std::uint64_t hash);
  void begin_write(std::uint64_t hash);
  void end_write(std::uint64_t hash);
  // The same for writes whose keys are not known: everything goes.
  void begin_write_all();
  void end_write_all();

  // All O(1): entries are found invalid when they are met, their memory comes back with time.
  void flush_all();
  void flush_node(NodeIndex node);
  void flush_class(ClassIndex key_class);

  // The tracked replies of a class become unproven and stay so; O(1) as well.
  void doubt_class(ClassIndex key_class);

  // From `close_class` on the class has no reply and none is kept, until `open_class`: then reads
  // whose ticket is taken later may be kept. To be closed once and opened once, soon.
  void close_class(ClassIndex key_class);
  void open_class(ClassIndex key_class);

  // Coherence of a node's tracked replies (behaviour 5.4). A node begins incoherent. `lose` makes
  // them unproven and refuses fills; `regain` drops them and accepts fills whose ticket is taken
  // from now on.
  void lose(NodeIndex node);
  void regain(NodeIndex node);
  // Coherence was seen to hold at this moment: what unproven replies count from.
  void prove(NodeIndex node, base::TimePoint at);
  [[nodiscard]] bool coherent(NodeIndex node) const;
  [[nodiscard]] base::TimePoint proven_at(NodeIndex node) const;

  // Looks at about `most` entries, going on where it stopped, and removes those whose time is over
  // or that were flushed; returns how many. Called now and then.
  std::size_t expire_some(base::TimePoint now, std::size_t most);

  // Shrinks at once when it is less than what is used; never above the constructor's.
  void set_budget(std::size_t budget);
  [[nodiscard]] std::size_t budget() const;
  // Larger replies are not kept whatever their class says: an eighth of a stripe.
  [[nodiscard]] std::size_t largest_reply() const;
  [[nodiscard]] std::size_t used_bytes() const;
  [[nodiscard]] std::size_t entries() const;
  [[nodiscard]] ClassUse use_of(ClassIndex key_class) const;
  // Walks everything: what used_bytes should be. For tests.
  [[nodiscard]] std::size_t recount() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pannier::cache
