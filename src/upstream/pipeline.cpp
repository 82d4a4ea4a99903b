#include "pannier/upstream/pipeline.hpp"

#include "pannier/base/bytes.hpp"

#include <algorithm>
#include <array>
#include <optional>

namespace pannier::upstream {
namespace {

// A pub/sub frame is an array or push whose first element is a bulk string that names its kind and
// whose last is an integer (a confirmation) or a bulk (a message).
std::string_view first_element(std::string_view frame) {
  const auto header = frame.find("\r\n");
  if (header == std::string_view::npos || header + 2 >= frame.size() || frame[header + 2] != '$') {
    return {};
  }
  const auto length_end = frame.find("\r\n", header + 2);
  if (length_end == std::string_view::npos) {
    return {};
  }
  const auto length = base::parse_int(frame.substr(header + 3, length_end - header - 3));
  if (!length || *length < 0) {
    return {};
  }
  return frame.substr(length_end + 2, static_cast<std::size_t>(*length));
}

std::uint32_t last_integer(std::string_view frame) {
  const auto colon = frame.rfind(':');
  if (colon == std::string_view::npos || frame.size() < colon + 3) {
    return 0;
  }
  const auto value = base::parse_int(frame.substr(colon + 1, frame.size() - colon - 3));
  return value && *value > 0 ? static_cast<std::uint32_t>(*value) : 0;
}

bool may_be_push(char type) {
  return type == '+' || type == '>' || type == '*';
}

bool is_message_kind(std::string_view kind) {
  return kind == "message" || kind == "pmessage" || kind == "smessage";
}

bool is_confirmation_kind(std::string_view kind) {
  constexpr std::array<std::string_view, 6> kKinds{
      "subscribe", "unsubscribe", "psubscribe", "punsubscribe", "ssubscribe", "sunsubscribe"};
  return std::find(kKinds.begin(), kKinds.end(), kind) != kKinds.end();
}

// "+1339518083.107412 [0 127.0.0.1:60866] ...": no reply looks like that.
bool is_monitor_line(std::string_view frame) {
  const auto bracket = frame.find(" [");
  return bracket != std::string_view::npos && bracket > 1 &&
         frame.substr(1, bracket - 1).find_first_not_of("0123456789.") == std::string_view::npos;
}

}  // namespace

void Pipeline::push(SlotIndex index, std::string_view request) {
  Slot& slot = (*slots_)[index];
  slot.position = base_ + bytes_.size();
  slot.length = static_cast<std::uint32_t>(request.size());
  slot.next_in_line = kNoSlot;
  bytes_.append(request);
  (tail_ == kNoSlot ? head_ : (*slots_)[tail_].next_in_line) = index;
  tail_ = index;
  ++count_;
}

void Pipeline::append_streamed(std::string_view bytes) {
  (*slots_)[tail_].length = 0;
  keep_ = false;
  bytes_.append(bytes);
}

void Pipeline::sent(std::size_t n) {
  sent_ += n;
  if (!keep_) {
    bytes_.discard(sent_);
    base_ += sent_;
    sent_ = 0;
  }
}

void Pipeline::copy_request(const Slot& slot, std::string& out) const {
  bytes_.copy_to(out, static_cast<std::size_t>(slot.position - base_), slot.length);
}

SlotIndex Pipeline::take_head() {
  const SlotIndex index = head_;
  if (index != kNoSlot) {
    head_ = (*slots_)[index].next_in_line;
    if (head_ == kNoSlot) {
      tail_ = kNoSlot;
    }
    --count_;
  }
  return index;
}

bool Pipeline::feed(std::string_view bytes, ReplySink& sink) {
  while (!bytes.empty()) {
    const auto status = scanner_.scan(bytes);
    if (status == resp::ReplyScanner::Status::Error) {
      error_ = scanner_.error();
      return false;
    }
    const std::string_view part = bytes.substr(0, scanner_.consumed());
    bytes.remove_prefix(part.size());
    if (status == resp::ReplyScanner::Status::NeedMore) {
      if (!keep_partial(part, sink)) {
        return false;
      }
      break;
    }
    if (!partial_.empty()) {
      std::string joined;
      joined.swap(partial_);
      joined.append(part);
      if (!take_frame(joined, sink)) {
        return false;
      }
    } else if (!take_frame(part, sink)) {
      return false;
    }
  }
  release_answered();
  return true;
}

// A complete frame, or the last part of one that is forwarded in parts. False: nobody asked for it.
bool Pipeline::take_frame(std::string_view frame, ReplySink& sink) {
  if (streaming_) {
    deliver(frame, true, sink);
  } else if (may_be_push(scanner_.type()) && is_push(frame)) {
    sink.on_push(frame);
  } else if (head_ == kNoSlot) {
    error_ = "a reply that nobody asked for: " + base::printable(frame);
    return false;
  } else if ((*slots_)[head_].is_subscribe && frame[0] != '-') {
    confirm(frame, sink);
  } else {
    deliver(frame, true, sink);
  }
  return true;
}

// Hands over a part of the head's reply; the last one takes the slot out of the line first.
void Pipeline::deliver(std::string_view frame, bool last, ReplySink& sink) {
  streaming_ = !last;
  if (!last) {
    sink.on_reply(head_, frame, scanner_.type(), false);
    (*slots_)[head_].started = true;
    return;
  }
  const SlotIndex index = take_head();
  sink.on_reply(index, frame, scanner_.type(), true);
  slots_->give(index);
}

// Counts one confirmation of (P|S)(UN)SUBSCRIBE. Without names an UNSUBSCRIBE confirms once per
// subscription, or once if there is none; how many there are is known only now (behaviour 2.5).
void Pipeline::confirm(std::string_view frame, ReplySink& sink) {
  Slot& slot = (*slots_)[head_];
  messages_are_arrays_ = scanner_.type() == '*';
  const std::string_view kind = first_element(frame);
  const bool shard = kind.starts_with('s') && kind != "subscribe";
  const bool pattern = kind.starts_with('p');
  std::uint32_t& count = shard     ? subscriptions_.shard_channels
                         : pattern ? subscriptions_.patterns
                                   : subscriptions_.channels;
  if (slot.confirmations == 0) {
    slot.confirmations = std::max(1U, count);
  }
  const std::uint32_t others = shard     ? 0
                               : pattern ? subscriptions_.channels
                                         : subscriptions_.patterns;
  const std::uint32_t total = last_integer(frame);
  count = total > others ? total - others : 0;
  const bool last = --slot.confirmations == 0;
  deliver(frame, last, sink);
  streaming_ = false;  // the next confirmation is a frame of its own
}

// Of a type that a push may have.
bool Pipeline::is_push(std::string_view frame) const {
  if (scanner_.type() == '+') {
    return monitor_lines_ && is_monitor_line(frame);
  }
  const bool waits_for_confirmation = head_ != kNoSlot && (*slots_)[head_].is_subscribe;
  if (scanner_.type() == '>') {
    return !(waits_for_confirmation && is_confirmation_kind(first_element(frame)));
  }
  return scanner_.type() == '*' && messages_are_arrays_ &&
         (subscriptions_.any() || waits_for_confirmation) && is_message_kind(first_element(frame));
}

// A frame that must be seen whole before anything is done with it.
bool Pipeline::must_collect() const {
  if (head_ == kNoSlot || scanner_.type() == '>' || subscriptions_.any()) {
    return true;
  }
  const Slot& slot = (*slots_)[head_];
  return slot.is_subscribe || slot.fate == Fate::Whole || slot.fate == Fate::Internal;
}

bool Pipeline::keep_partial(std::string_view part, ReplySink& sink) {
  if (streaming_) {
    deliver(part, false, sink);
    return true;
  }
  const std::size_t known = partial_.size() + part.size() + scanner_.missing();
  bool collects = known <= kStreamFrom || must_collect();
  if (collects && known > kMostKept && may_stream()) {
    (*slots_)[head_].fate = Fate::Forward;
    collects = false;
  } else if (collects && known > kMostCollected) {
    error_ = "a message or a reply that must be seen whole has " + base::human_bytes(known) +
             ", and at most " + base::human_bytes(kMostCollected) + " are held";
    return false;
  }
  if (collects) {
    partial_.append(part);
  } else if (partial_.empty()) {
    deliver(part, false, sink);
  } else {
    partial_.append(part);
    deliver(partial_, false, sink);
    std::string().swap(partial_);
  }
  return true;
}

// Its elements would have been kept; they need not be.
bool Pipeline::may_stream() const {
  return head_ != kNoSlot && scanner_.type() != '>' && !subscriptions_.any() &&
         (*slots_)[head_].fate == Fate::Whole && (*slots_)[head_].purpose == Purpose::Mget;
}

void Pipeline::release_answered() {
  const std::uint64_t needed = head_ == kNoSlot ? base_ + sent_ : (*slots_)[head_].position;
  if (needed > base_) {
    const auto n = std::min(static_cast<std::size_t>(needed - base_), sent_);
    bytes_.discard(n);
    base_ += n;
    sent_ -= n;
  }
  if (head_ == kNoSlot) {
    keep_ = true;
  }
}

}  // namespace pannier::upstream
