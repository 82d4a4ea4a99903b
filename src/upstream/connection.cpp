#include "pannier/upstream/connection.hpp"

#include "pannier/base/bytes.hpp"
#include "pannier/net/socket.hpp"

#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

namespace pannier::upstream {
namespace {

constexpr std::size_t kIovecs = 64;
constexpr std::string_view kPing = "*1\r\n$4\r\nPING\r\n";

}  // namespace

Connection::Connection(Runtime& runtime, ConnectionEvents& events, const ConnectionSpec& spec)
    : runtime_(runtime),
      events_(events),
      spec_(spec),
      metrics_(runtime.metrics.nodes.at(spec.node)),
      pipeline_(runtime.slots, runtime.blocks),
      last_used_(runtime.now) {}

Connection::~Connection() {
  std::erase(runtime_.unflushed, this);
  runtime_.timers.cancel(open_timer_);
  runtime_.memory.upstream -= charged_;
  if (transport_) {
    runtime_.poller.remove(transport_->descriptor(), this);
  }
}

bool Connection::open(const route::Node& node) {
  node_name_ = node.name;
  begun_at_ = runtime_.now;
  address_hash_ = node.address.hash();
  if (node.address.length == 0) {
    close_reason_ = node.last_error.empty() ? "its name is not resolved yet" : node.last_error;
    state_ = State::Closed;
    return false;
  }
  int error = 0;
  const int descriptor = net::start_connect(node.address, error);
  if (descriptor < 0) {
    metrics().connect_failures.add();
    close_reason_ = net::errno_text(error);
    state_ = State::Closed;
    tell_failure(route::Failure::Connect);
    return false;
  }
  transport_ = std::make_unique<net::SocketTransport>(descriptor);
  interest_ = EPOLLOUT;
  runtime_.poller.add(descriptor, this, interest_, urgency_);
  open_timer_ =
      runtime_.timers.add(runtime_.now + runtime_.config.upstream.timeouts.connect, [this] {
        lose(state_ == State::Connecting ? "no connection within timeouts.connect"
                                         : "no answer to the handshake within timeouts.connect");
      });
  return true;
}

void Connection::finish_connect() {
  if (const int error = net::connect_error(transport_->descriptor()); error != 0) {
    lose(net::errno_text(error));
    return;
  }
  state_ = State::Handshaking;
  want(EPOLLIN);
  for (const HandshakeRequest& request : make_handshake(spec_, runtime_.config)) {
    const SlotIndex index = runtime_.slots.take();
    runtime_.slots[index].fate = Fate::Internal;
    runtime_.slots[index].start = runtime_.now;
    handshake_.push_back(request.step);
    pipeline_.push(index, request.bytes);
  }
  flush();
}

void Connection::on_handshake_reply(std::string_view reply) {
  const HandshakeStep step = handshake_.front();
  handshake_.pop_front();
  if (is_fatal(step, reply)) {
    refusal_ = reply;
    lose("the node refused the handshake: " + base::printable(reply, 200));
    return;
  }
  if (step == HandshakeStep::ClientId && reply.starts_with(':')) {
    upstream_id_ = base::parse_int(reply.substr(1, reply.size() - 3)).value_or(0);
  }
  if (handshake_.empty()) {
    become_ready();
  }
}

void Connection::become_ready() {
  state_ = State::Ready;
  opened_at_ = runtime_.now;
  runtime_.timers.cancel(open_timer_);
  metrics().connects.add();
  std::vector<SlotIndex> abandoned;
  backlog_bytes_ = 0;
  charge();
  for (Waiting& waiting : std::exchange(backlog_, {})) {
    runtime_.slots[waiting.index].in_backlog = false;
    note_queued(runtime_.slots[waiting.index]);
    if (runtime_.slots[waiting.index].fate == Fate::Abandoned) {
      abandoned.push_back(waiting.index);
    } else {
      pipeline_.push(waiting.index, waiting.request);
    }
  }
  // Only now, when `in_flight` is true again: who hears of it may close an empty connection.
  for (const SlotIndex index : abandoned) {
    events_.on_lost(*this, index, false);
    runtime_.slots.give(index);
  }
  if (state_ == State::Ready) {
    schedule_flush();
    events_.on_opened(*this);
  }
}

bool Connection::send(SlotIndex index, std::string_view request) {
  last_used_ = runtime_.now;
  if (state_ == State::Ready) {
    pipeline_.push(index, request);
    if (pipeline_.unsent() >= kFlushEarly && interest_ == EPOLLIN) {
      flush();
    } else {
      schedule_flush();
    }
    return true;
  }
  if (state_ == State::Closed || backlog_.size() >= kMaxBacklog || backlog_bytes_ > kFull) {
    return false;
  }
  runtime_.slots[index].in_backlog = true;
  backlog_.push_back({index, std::string(request)});
  backlog_bytes_ += sizeof(Waiting) + request.size();
  charge();
  return true;
}

void Connection::send_more(std::string_view bytes) {
  pipeline_.append_streamed(bytes);
  if (pipeline_.unsent() >= kFlushEarly) {
    flush();
  } else {
    schedule_flush();
  }
}

void Connection::ping() {
  const SlotIndex index = runtime_.slots.take();
  runtime_.slots[index].fate = Fate::Internal;
  runtime_.slots[index].start = runtime_.now;
  pinged_at_ = runtime_.now;
  pipeline_.push(index, kPing);
  schedule_flush();
}

void Connection::schedule_flush() {
  if (!flush_scheduled_) {
    flush_scheduled_ = true;
    runtime_.unflushed.push_back(this);
  }
}

void Connection::flush() {
  flush_scheduled_ = false;
  over_high_water_ = over_high_water_ || is_over_high_water();
  while (transport_ && pipeline_.unsent() > 0) {
    std::array<iovec, kIovecs> parts;  // NOLINT(*-member-init): gather fills what is used
    const std::size_t count = pipeline_.gather(parts);
    const net::IoResult result = transport_->write_some(std::span(parts.data(), count));
    if (result.status == net::IoStatus::WouldBlock) {
      break;
    }
    if (result.status != net::IoStatus::Done) {
      lose("write failed: " + net::errno_text(result.error));
      return;
    }
    metrics().bytes_sent.add(result.bytes);
    note_sent(result.bytes);
  }
  if (!transport_) {
    return;
  }
  want((paused_ ? 0U : EPOLLIN) | (pipeline_.unsent() > 0 ? EPOLLOUT : 0U));
  tell_if_drained();
}

void Connection::tell_if_drained() {
  const std::size_t low = runtime_.memory.choose(kLowWater, kFlushEarly / 2, kFlushEarly / 2);
  const std::size_t few = runtime_.memory.choose(kFull, kFullWhenTight, kFullWhenTight) / 2;
  const bool drained = over_high_water_ && pipeline_.unsent() < low;
  const bool has_room = was_full_ && pipeline_.request_bytes() + backlog_bytes_ < few;
  if (drained || has_room) {
    over_high_water_ = over_high_water_ && !drained;
    was_full_ = was_full_ && !has_room;
    events_.on_drained(*this);
  }
}

bool Connection::note_full() {
  const std::size_t most = runtime_.memory.choose(kFull, kFullWhenTight, kFullWhenTight);
  was_full_ = was_full_ || pipeline_.request_bytes() + backlog_bytes_ > most ||
              backlog_.size() > kMaxBacklog / 2;
  return was_full_;
}

// What the blocks do not count.
void Connection::charge() {
  const std::size_t now = pipeline_.partial_bytes() + backlog_bytes_;
  runtime_.memory.upstream += now - charged_;
  charged_ = now;
}

// Only what had to wait for the socket is looked at again: for SLOWLOG's queue time.
void Connection::note_sent(std::size_t bytes) {
  const bool was_blocked = (interest_ & EPOLLOUT) != 0;
  if (was_blocked) {
    pipeline_.for_each([&](SlotIndex index) {
      if (!pipeline_.was_sent(runtime_.slots[index])) {
        note_queued(runtime_.slots[index]);
      }
    });
  }
  pipeline_.sent(bytes);
}

void Connection::note_queued(Slot& slot) {
  const auto waited =
      std::chrono::duration_cast<std::chrono::microseconds>(runtime_.now - slot.start);
  slot.queued_us = static_cast<std::uint32_t>(waited.count());
}

void Connection::want(std::uint32_t interest) {
  if (interest != interest_) {
    interest_ = interest;
    runtime_.poller.modify(transport_->descriptor(), this, interest, urgency_);
  }
}

void Connection::pause_reading() {
  paused_ = true;
  if (transport_) {
    want(interest_ & ~EPOLLIN);
  }
}

void Connection::resume_reading() {
  paused_ = false;
  last_heard_ = runtime_.now;
  if (transport_) {
    want(interest_ | EPOLLIN);
  }
}

void Connection::on_events(std::uint32_t events) {
  if (state_ == State::Connecting) {
    finish_connect();
    return;
  }
  if ((events & EPOLLIN) != 0 && !paused_) {
    read();
  } else if ((events & (EPOLLHUP | EPOLLERR)) != 0) {
    const int error = net::connect_error(transport_->descriptor());
    lose(error == 0 ? "closed by the node" : net::errno_text(error));
  }
  if (state_ != State::Closed && (events & EPOLLOUT) != 0) {
    flush();
  }
}

void Connection::read() {
  runtime_.memory.look();
  const std::size_t most = runtime_.memory.choose(Runtime::kScratch, kFlushEarly, kFlushEarly / 4);
  const net::IoResult result = transport_->read_some(std::span(runtime_.scratch.get(), most));
  switch (result.status) {
    case net::IoStatus::WouldBlock:
      return;
    case net::IoStatus::End:
      lose("closed by the node");
      return;
    case net::IoStatus::Error:
      lose("read failed: " + net::errno_text(result.error));
      return;
    case net::IoStatus::Done:
      break;
  }
  metrics().bytes_received.add(result.bytes);
  last_heard_ = runtime_.now;
  feeding_ = true;
  const bool in_step = pipeline_.feed({runtime_.scratch.get(), result.bytes}, *this);
  feeding_ = false;
  charge();
  if (state_ == State::Closed) {
    drop_everything();
  } else if (!in_step) {
    lose("the reply stream is out of step: " + std::string(pipeline_.error()));
  } else if (was_full_) {
    tell_if_drained();
  }
}

void Connection::on_reply(SlotIndex index, std::string_view bytes, char type, bool last) {
  const Fate fate = runtime_.slots[index].fate;
  if (fate != Fate::Internal) {
    if (last && fate != Fate::Abandoned) {
      metrics().replies.add();
    }
    events_.on_reply(*this, index, bytes, type, last);
  } else if (state_ == State::Ready) {
    pinged_at_.reset();
  } else if (state_ != State::Closed) {
    on_handshake_reply(bytes);
  }
}

void Connection::on_push(std::string_view bytes) {
  events_.on_push(*this, bytes);
}

void Connection::lose(std::string reason) {
  const bool was_open = state_ == State::Ready;
  lose_as(std::move(reason), was_open ? route::Failure::Lost : route::Failure::Connect);
}

void Connection::lose_silent(std::string reason) {
  lose_as(std::move(reason), route::Failure::Silent);
}

void Connection::lose_as(std::string reason, route::Failure failure) {
  if (state_ == State::Closed) {
    return;
  }
  (state_ == State::Ready ? metrics().connections_lost : metrics().connect_failures).add();
  if (refusal_.empty()) {
    tell_failure(failure);
  }
  close(std::move(reason));
}

void Connection::tell_failure(route::Failure failure) {
  if (runtime_.connect_budget != nullptr) {
    runtime_.connect_budget->note_trouble(spec_.node, runtime_.now);
  }
  if (runtime_.report) {
    runtime_.report(spec_.node, failure);
  }
}

void Connection::close(std::string reason) {
  if (state_ == State::Closed) {
    return;
  }
  state_ = State::Closed;
  close_reason_ = std::move(reason);
  runtime_.timers.cancel(open_timer_);
  if (transport_) {
    runtime_.poller.remove(transport_->descriptor(), this);
    transport_.reset();
  }
  if (!feeding_) {
    drop_everything();
  }
}

void Connection::drop_everything() {
  for (const Waiting& waiting : std::exchange(backlog_, {})) {
    pipeline_.push(waiting.index, waiting.request);  // so that its bytes can be asked for
  }
  for (SlotIndex index = pipeline_.take_head(); index != kNoSlot; index = pipeline_.take_head()) {
    const Slot& slot = runtime_.slots[index];
    if (slot.fate != Fate::Internal) {
      events_.on_lost(*this, index, pipeline_.was_sent(slot));
    }
    runtime_.slots.give(index);
  }
  backlog_bytes_ = 0;
  charge();
  events_.on_closed(*this);
}

}  // namespace pannier::upstream
