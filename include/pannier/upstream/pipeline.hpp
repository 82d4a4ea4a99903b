#pragma once

#include "pannier/base/byte_queue.hpp"
#include "pannier/resp/reply_scanner.hpp"
#include "pannier/upstream/slot.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace pannier::upstream {

// What a pipeline makes of the bytes it is fed. Calls come in stream order.
class ReplySink {
 public:
  // A reply, or a part of one that is too large to hold; `last` ends it. When it is the last part
  // the slot has left the line and goes back to the slab after the call.
  virtual void on_reply(SlotIndex index, std::string_view bytes, char type, bool last) = 0;
  // An out-of-band frame: RESP3 push, or a message to a RESP2 subscriber.
  virtual void on_push(std::string_view bytes) = 0;

 protected:
  ~ReplySink() = default;
};

// How many channels, patterns and shard channels a connection is subscribed to, as the
// confirmations told.
struct Subscriptions {
  std::uint32_t channels = 0;
  std::uint32_t patterns = 0;
  std::uint32_t shard_channels = 0;

  [[nodiscard]] bool any() const { return channels + patterns + shard_channels > 0; }
};

// The order of one upstream connection: request bytes out, replies in, each given to the oldest
// slot. Sans-io. A request's bytes are kept until its reply has come, so that it can be sent again
// or read again; a cancelled request keeps its slot and its reply is dropped (behaviour 1.4).
//
// Legal order of calls: push*, then [gather, sent]* to write and feed* for what was read; after
// feed returned false the stream is out of step: close, then take_all.
class Pipeline {
 public:
  // A reply over this many bytes is forwarded in parts as it comes.
  static constexpr std::size_t kStreamFrom = 64 * 1024;
  // A frame that has to be seen whole is collected up to here; a longer one ends the connection.
  static constexpr std::size_t kMostCollected = 64 * 1024 * 1024;
  // A longer reply to MGET is forwarded in parts and not kept.
  static constexpr std::size_t kMostKept = 4 * 1024 * 1024;

  Pipeline(SlotSlab& slots, base::BlockPool& blocks) : slots_(&slots), bytes_(blocks) {}

  // Puts a request at the end of the line.
  void push(SlotIndex index, std::string_view request);
  // Adds bytes to the request pushed last, which then are not kept: a large one that streams.
  void append_streamed(std::string_view bytes);

  [[nodiscard]] std::size_t unsent() const { return bytes_.size() - sent_; }

  // Bytes of requests without an answer, sent or not.
  [[nodiscard]] std::size_t request_bytes() const { return bytes_.size(); }

  // Bytes of a frame that is not complete.
  [[nodiscard]] std::size_t partial_bytes() const { return partial_.capacity(); }

  [[nodiscard]] std::size_t gather(std::span<iovec> out) const { return bytes_.gather(out, sent_); }

  void sent(std::size_t n);

  // True when at least one byte of the slot's request has left.
  [[nodiscard]] bool was_sent(const Slot& slot) const { return slot.position < base_ + sent_; }

  // False: framing is in doubt, `error()` says why.
  [[nodiscard]] bool feed(std::string_view bytes, ReplySink& sink);

  [[nodiscard]] std::string_view error() const { return error_; }

  // The request's bytes. REQUIRES: slot.length > 0 and the slot is in this line.
  void copy_request(const Slot& slot, std::string& out) const;

  [[nodiscard]] bool empty() const { return head_ == kNoSlot; }

  [[nodiscard]] std::size_t size() const { return count_; }

  [[nodiscard]] SlotIndex head() const { return head_; }

  [[nodiscard]] SlotIndex tail() const { return tail_; }

  // True while a reply is being forwarded in parts.
  [[nodiscard]] bool streaming() const { return streaming_; }

  // Calls `visit(index)` for each request in the line, oldest first.
  template <typename Visit>
  void for_each(Visit&& visit) const {
    for (SlotIndex i = head_; i != kNoSlot;) {
      const SlotIndex next = (*slots_)[i].next_in_line;
      visit(i);
      i = next;
    }
  }

  // From here on the server may say lines of MONITOR between replies: they are pushes.
  void expect_monitor_lines() { monitor_lines_ = true; }

  // A push arrives only between frames, so these are those of the last complete one.
  [[nodiscard]] const Subscriptions& subscriptions() const { return subscriptions_; }

  // Empties the line, oldest first, once the connection is lost: take_head until kNoSlot. The
  // bytes stay readable until `reset`.
  [[nodiscard]] SlotIndex take_head();

 private:
  [[nodiscard]] bool take_frame(std::string_view frame, ReplySink& sink);
  void deliver(std::string_view frame, bool last, ReplySink& sink);
  void confirm(std::string_view frame, ReplySink& sink);
  [[nodiscard]] bool is_push(std::string_view frame) const;
  [[nodiscard]] bool must_collect() const;
  [[nodiscard]] bool may_stream() const;
  [[nodiscard]] bool keep_partial(std::string_view part, ReplySink& sink);
  void release_answered();

  SlotSlab* slots_;
  base::ByteQueue bytes_;   // unanswered requests, sent and unsent
  std::uint64_t base_ = 0;  // stream position of the first byte in bytes_
  std::size_t sent_ = 0;    // of the bytes in bytes_
  bool keep_ = true;        // false while the last request streams
  SlotIndex head_ = kNoSlot;
  SlotIndex tail_ = kNoSlot;
  std::size_t count_ = 0;
  resp::ReplyScanner scanner_;
  std::string partial_;  // of a frame that is not complete yet
  bool streaming_ = false;
  bool monitor_lines_ = false;
  bool messages_are_arrays_ = false;  // RESP2, as the confirmations told
  Subscriptions subscriptions_;
  std::string error_;
};

}  // namespace pannier::upstream
