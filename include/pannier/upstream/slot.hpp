#pragma once

#include "pannier/base/clock.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace pannier::upstream {

// A session of this worker: an index and a generation, never a pointer. A stale generation means
// that the session is gone: whatever was for it is dropped.
struct SessionRef {
  std::uint32_t index = 0;
  std::uint32_t generation = 0;  // 0: nobody

  [[nodiscard]] bool operator==(const SessionRef&) const = default;
};

// What becomes of a reply.
enum class Fate : std::uint8_t {
  Forward,   // to the session, in its place, as it came
  Whole,     // collected, then to the session's handler, which maps it (`Purpose`)
  Swallow,   // read and dropped: Pannier's own command, the client knows nothing of it
  Internal,  // to the connection itself: handshake
  Abandoned  // the requester was answered or is gone: read and dropped, counted late
};

// Why a reply is wanted whole.
enum class Purpose : std::uint8_t {
  None,
  Info,      // append Pannier's section
  Blocking,  // it may take as long as it asked for
  Exec,      // the end of a transaction
  Abort,     // DISCARD in place of an EXEC that must fail
  Learn,     // COMMAND INFO of a command that the table does not know
  Tracking,  // CLIENT TRACKING on a pinned connection
  Mget,      // its elements are kept one by one
  FillTtl,   // PTTL behind a read whose reply is to be kept
  Caching,   // CLIENT TRACKING or CLIENT CACHING before such a read
  Throttle,  // CL.THROTTLE: a script's reply becomes redis-cell's
  Limit,     // the same script for a limit that all sidecars share; `key_hash`: whose ask it is
  SetNx,     // SETNX that was sent as SET
  Ttl,       // a TTL that Pannier gives behind a store
  Renew      // of a sliding TTL
};

enum class DeadlineKind : std::uint8_t {
  Read,
  Write,
  Slow,
  Attempt,  // the first try of a read that another node could serve, too
  Timed,    // of its own, see Deadlines::add_timed
  None
};

using SlotIndex = std::uint32_t;
inline constexpr SlotIndex kNoSlot = 0xFFFFFFFF;

// One request in flight on an upstream connection. Defined once for lanes and pinned connections;
// lives in its worker's slab.
struct Slot {
  SessionRef session;
  std::uint32_t place = 0;  // in the session's reply queue
  std::uint16_t row = 0;    // command::index_of
  std::uint16_t node = 0;   // of its connection
  Fate fate = Fate::Forward;
  Purpose purpose = Purpose::None;
  DeadlineKind deadline = DeadlineKind::None;
  bool is_write = false;
  bool is_heavy = false;            // DeadlineKind::Slow, also when that is over
  bool silent = false;              // CLIENT REPLY OFF/SKIP: the place gets no bytes
  bool started = false;             // a part of its reply was forwarded
  bool marks_keys = false;          // RecentWrites::begin was called: `end` is owed
  bool marks_all = false;           // the same for begin_all
  bool shows_keys = false;          // a read past the near cache: what it kept of its keys goes
  bool in_backlog = false;          // waits for the connection's handshake: certainly not sent
  bool is_subscribe = false;        // completes after `confirmations` confirmations
  bool has_ttl = false;             // something is kept for its reply (proxy/ttl_state.hpp)
  bool in_multi = false;            // of Purpose::Ttl: it is queued
  bool is_last_try = false;         // it may have run before, see proxy/retry.hpp
  std::uint8_t tries = 0;           // before this one
  bool selects = false;             // of Purpose::Exec: it may change the session's database
  std::uint16_t key_class = 0;      // of Purpose::Ttl and Renew
  std::uint32_t confirmations = 0;  // still to come; 0 before the first: see Pipeline
  std::uint32_t queued_us = 0;      // before its bytes left, when they could not at once
  std::uint32_t length = 0;         // of the request's bytes; 0: not kept
  std::uint64_t position = 0;       // of the request's bytes in the connection's stream
  std::uint64_t key_hash = 0;       // of a key, when marks_keys; several: see the worker's list
  base::TimePoint start{};
  std::uint32_t flight = 0;          // its reply may be kept and shared (proxy/flights.hpp); 0: not
  SlotIndex next_in_line = kNoSlot;  // the connection's FIFO, or the slab's free list
  SlotIndex deadline_next = kNoSlot;
  SlotIndex deadline_previous = kNoSlot;
};

static_assert(sizeof(Slot) <= 96);

// The worker's slots. Indices stay valid until `give`; memory is kept for reuse until `trim`. Not
// thread-safe.
class SlotSlab {
 public:
  [[nodiscard]] SlotIndex take() {
    if (free_ == kNoSlot) {
      add_chunk();
    }
    const SlotIndex index = free_;
    Chunk& chunk = *chunks_[index / kChunk];
    Slot& slot = chunk.slots[index % kChunk];
    free_ = slot.next_in_line;
    slot = Slot{};
    ++chunk.used;
    ++in_use_;
    return index;
  }

  void give(SlotIndex index) {
    Chunk& chunk = *chunks_[index / kChunk];
    Slot& slot = chunk.slots[index % kChunk];
    slot.session = {};
    slot.next_in_line = free_;
    free_ = index;
    --chunk.used;
    --in_use_;
  }

  [[nodiscard]] Slot& operator[](SlotIndex index) {
    return chunks_[index / kChunk]->slots[index % kChunk];
  }

  // Gives chunks in which no slot is in use back to the allocator.
  void trim();

  // Of the slots in use.
  [[nodiscard]] std::size_t bytes() const { return in_use_ * sizeof(Slot); }

  [[nodiscard]] std::size_t in_use() const { return in_use_; }

 private:
  static constexpr std::size_t kChunk = 256;

  struct Chunk {
    std::array<Slot, kChunk> slots;
    std::size_t used = 0;
  };

  void add_chunk();

  std::vector<std::unique_ptr<Chunk>> chunks_;  // null: was given back
  SlotIndex free_ = kNoSlot;
  std::size_t in_use_ = 0;
};

}  // namespace pannier::upstream
