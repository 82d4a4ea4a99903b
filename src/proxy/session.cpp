#include "pannier/proxy/session.hpp"

#include "pannier/base/bytes.hpp"
#include "pannier/base/log.hpp"
#include "pannier/net/socket.hpp"
#include "pannier/proxy/context.hpp"
#include "pannier/resp/reply_writer.hpp"

#include "cached_reads.hpp"
#include "policy_stage.hpp"
#include "request_handler.hpp"

#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

namespace pannier::proxy {
namespace {

constexpr std::size_t kIovecs = 64;
constexpr std::size_t kWriteThrough = 16 * 1024;  // larger pieces skip the queue when it is empty
constexpr std::size_t kMaxOutput = 16 * 1024 * 1024;
constexpr std::size_t kMaxOutputWhenTight = 64 * 1024;

}  // namespace

Session::Session(Context& context,
                 upstream::SessionRef ref,
                 std::unique_ptr<net::Transport> transport,
                 const config::Listener& listener)
    : context_(context),
      ref_(ref),
      listener_(&listener),
      transport_(std::move(transport)),
      parser_(context.limits),
      out_(context.runtime.blocks),
      interest_(EPOLLIN | EPOLLRDHUP) {
  context_.runtime.poller.add(transport_->descriptor(), this, interest_);
  context_.runtime.metrics.sessions.add();
}

Session::~Session() {
  if (transport_) {
    context_.runtime.poller.remove(transport_->descriptor(), this);
    context_.runtime.metrics.sessions.sub();
  }
}

void Session::on_events(std::uint32_t events) {
  if ((events & EPOLLIN) != 0) {
    read();  // also after a hang-up: what the client said before counts
  } else if ((events & (EPOLLHUP | EPOLLERR)) != 0) {
    close(metrics::CloseReason::Client);
    return;
  } else if ((events & EPOLLRDHUP) != 0) {
    // Its end came while it was not read. Whoever waits for a blocking command or for messages is
    // gone; others get what they asked for (behaviour 2.2).
    if (pinned.holds_client_state()) {
      close(metrics::CloseReason::Client);
      return;
    }
    interest_ &= ~static_cast<std::uint32_t>(EPOLLRDHUP);
    context_.runtime.poller.modify(transport_->descriptor(), this, interest_);
  }
  if (transport_ && (events & EPOLLOUT) != 0) {
    schedule_flush();
  }
}

void Session::read() {
  char* const scratch = context_.runtime.scratch.get();
  const net::IoResult result =
      transport_->read_some(std::span(scratch, upstream::Runtime::kScratch));
  if (result.status == net::IoStatus::Error) {
    close(metrics::CloseReason::Client);
    return;
  }
  if (result.status == net::IoStatus::End) {
    ended_ = true;
    if (pinned.holds_client_state() || state.monitoring) {
      close(metrics::CloseReason::Client);
    } else {
      schedule_flush();
    }
    return;
  }
  if (result.status == net::IoStatus::WouldBlock) {
    return;
  }
  context_.runtime.metrics.bytes_received.add(result.bytes);
  state.last_active = context_.runtime.now;
  forget_refused_multi();
  const std::string_view fresh(scratch, result.bytes);
  if (input_.empty() && waiting_ == Waiting::Nothing) {
    const std::size_t used = process(fresh);
    if (used < fresh.size()) {
      keep(fresh.substr(used));
    }
  } else {
    input_.append(fresh);
    if (waiting_ == Waiting::Nothing) {
      resume();
    }
  }
  update_interest();
}

// What a client pipelined behind a MULTI that is refused must not run on its own; one that has read
// the refusal knows that it is in no transaction.
void Session::forget_refused_multi() {
  if (pinned.refused && pinned.lost && input_.empty() && out_.empty() && replies_.pending() == 0) {
    pinned.refused = pinned.lost = pinned.multi = pinned.must_abort = false;
    state.in_multi = false;
  }
}

void Session::keep(std::string_view rest) {
  if (!closing_ && transport_) {
    input_.assign(rest);
  }
}

// Parses and handles what there is; returns how many bytes are done with.
std::size_t Session::process(std::string_view input) {
  std::size_t used = 0;
  while (used < input.size() && waiting_ == Waiting::Nothing && !closing_ && transport_) {
    if (pinned.uploading) {
      if (!upload(input, used)) {
        break;
      }
      continue;
    }
    const auto status = parse_batch(parser_, input.substr(used), context_.batch);
    prefetch_batch(context_);
    used += handle_batch();
    if (waiting_ != Waiting::Nothing || closing_ || !transport_) {
      break;
    }
    if (status == resp::RequestParser::Status::Error) {
      protocol_error();
      break;
    }
    if (status == resp::RequestParser::Status::Large) {
      const LargeRequest large{parser_.head(),
                               parser_.announced_arguments(),
                               parser_.unfinished(),
                               parser_.announced_bytes()};
      if (begin_upload(context_, *this, large) == Step::Wait) {
        parser_.reset();
      }
    } else if (status == resp::RequestParser::Status::NeedMore) {
      break;
    }
  }
  return used;
}

// Returns the bytes of the requests that were handled; stops before one that has to wait.
std::size_t Session::handle_batch() {
  const resp::RequestBatch& batch = context_.batch;
  std::size_t used = 0;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    if (replies_.pending() >= kMaxPending || (i == 0 && output_is_full())) {
      waiting_ = Waiting::Output;
    }
    context_.batch_index = i;
    if (waiting_ != Waiting::Nothing || handle(context_, *this, batch[i]) == Step::Wait) {
      parser_.reset();
      return used;
    }
    used = batch.end_offset(i);
    if (closing_ || !transport_) {
      return used;
    }
  }
  return batch.consumed();
}

void Session::protocol_error() {
  const std::string text(parser_.error());
  if (context_.runtime.now >= context_.next_protocol_log) {
    context_.next_protocol_log = context_.runtime.now + std::chrono::seconds(1);
    base::log_warn(
        "session",
        "client {} broke the protocol: {}; its connection is closed (said at most once a "
        "second; all are counted)",
        state.remote_address,
        text.empty() ? "HTTP on a RESP port" : text);
  }
  if (text.empty()) {
    close(metrics::CloseReason::Security);
    return;
  }
  std::string out;
  resp::append_error(out, text);
  answer(out);
  close_after_replies(metrics::CloseReason::Protocol);
}

void Session::reply(std::uint32_t place, std::string_view bytes, bool last) {
  std::size_t written = 0;
  if (bytes.size() >= kWriteThrough && out_.empty() && replies_.is_head(place)) {
    if (!write_now(bytes, written)) {
      return;
    }
  }
  replies_.add(place, bytes.substr(written), last, out_);
  schedule_flush();
}

void Session::push(std::string_view bytes) {
  out_.append(bytes);
  schedule_flush();
}

void Session::show(std::string_view line) {
  if (replies_.pending() > 0) {
    return;  // a reply may be half written: the line would land inside it
  }
  if (output_bytes() > kMaxOutput) {
    close(metrics::CloseReason::OutputLimit);
    return;
  }
  push(line);
}

// Writes past the empty queue; false when the session ended over it.
bool Session::write_now(std::string_view bytes, std::size_t& written) {
  if (!transport_ || write_blocked_) {
    return transport_ != nullptr;
  }
  const iovec part{const_cast<char*>(bytes.data()), bytes.size()};  // writev does not write to it
  const net::IoResult result = transport_->write_some(std::span(&part, 1));
  if (result.status == net::IoStatus::Error) {
    close(metrics::CloseReason::Client);
    return false;
  }
  written = result.bytes;
  bytes_written_ += written;
  context_.runtime.metrics.bytes_sent.add(written);
  return true;
}

void Session::wake(Waiting reason) {
  if (waiting_ == Waiting::Nothing || wake_scheduled_ ||
      (reason != Waiting::Nothing && reason != waiting_)) {
    return;
  }
  wake_scheduled_ = true;
  context_.awake.push_back(ref_);
}

void Session::resume() {
  wake_scheduled_ = false;
  if (!transport_) {
    return;
  }
  waiting_ = Waiting::Nothing;
  const std::string input = std::exchange(input_, {});
  const std::size_t used = process(input);
  if (used < input.size()) {
    keep(std::string_view(input).substr(used));
  }
  if (transport_) {
    update_interest();
    schedule_flush();
  }
}

bool Session::is_tight() const {
  return context_.runtime.blocks.used_bytes() >
         context_.shared.config.memory / 2 / context_.shared.config.workers;
}

bool Session::output_is_full() const {
  return replies_.pending() >= kMaxPending ||
         output_bytes() > (is_tight() ? kMaxOutputWhenTight : kMaxOutput);
}

bool Session::holds_too_much() const {
  return output_bytes() > (is_tight() ? kPauseAt : kMaxOutput);
}

void Session::schedule_flush() {
  if (!flush_scheduled_) {
    flush_scheduled_ = true;
    context_.unflushed.push_back(ref_);
  }
}

void Session::flush() {
  flush_scheduled_ = false;
  write_blocked_ = false;
  while (transport_ && !out_.empty()) {
    std::array<iovec, kIovecs> parts;  // NOLINT(*-member-init): gather fills what is used
    const std::size_t count = out_.gather(parts);
    const net::IoResult result = transport_->write_some(std::span(parts.data(), count));
    if (result.status == net::IoStatus::WouldBlock) {
      write_blocked_ = true;
      behind_until_ = context_.runtime.now + std::chrono::seconds(1);
      watch_progress();
      break;
    }
    if (result.status != net::IoStatus::Done) {
      close(metrics::CloseReason::Client);
      return;
    }
    context_.runtime.metrics.bytes_sent.add(result.bytes);
    bytes_written_ += result.bytes;
    out_.discard(result.bytes);
  }
  if (!transport_) {
    return;
  }
  if (!paused_.empty() && out_.size() < kResumeAt) {
    resume_paused();
  }
  if (waiting_ == Waiting::Output && !output_is_full()) {
    wake();
  }
  update_interest();
  finish_if_done();
}

void Session::finish_if_done() {
  const bool nothing_left = out_.empty() && replies_.pending() == 0;
  if (draining_ && nothing_left && !pinned.multi) {
    close(metrics::CloseReason::Drain);
    return;
  }
  // Nobody is there to be woken or to send the rest of a large request; the end may have come while
  // the session waited for its exclusive connection.
  if (ended_ && waiting_ == Waiting::Nothing && (pinned.uploading || pinned.holds_client_state())) {
    close(metrics::CloseReason::Client);
    return;
  }
  const bool wants_no_more =
      closing_ || (ended_ && (input_.empty() || waiting_ == Waiting::Nothing));
  if (nothing_left && wants_no_more) {
    close(close_reason_);
  }
}

// A client that does not read while much is queued for it holds memory, and perhaps a lane: it has
// `slow` to take at least something.
void Session::watch_progress() {
  if (watching_progress_ || (paused_.empty() && out_.size() < kPauseAt)) {
    return;
  }
  watching_progress_ = true;
  const auto due = context_.runtime.now + context_.shared.config.upstream.timeouts.slow;
  context_.runtime.timers.add(due, [&context = context_, ref = ref_, before = bytes_written_] {
    Session* session = context.sessions.find(ref);
    if (session == nullptr) {
      return;
    }
    session->watching_progress_ = false;
    if (session->bytes_written_ != before) {
      session->watch_progress();
      return;
    }
    if (session->write_blocked_) {
      base::log_warn("session",
                     "client {} has not read for timeouts.slow with {} queued; it is closed",
                     session->state.remote_address,
                     base::human_bytes(session->output_bytes()));
      session->close(metrics::CloseReason::Stalled);
    }
  });
}

// Nothing that could change what the poller is asked for: the common case.
bool Session::is_quiet() const {
  return interest_ == (EPOLLIN | EPOLLRDHUP) && waiting_ == Waiting::Nothing && !write_blocked_ &&
         !ended_ && !closing_ && !pinned.uploading && output_bytes() < kMaxOutputWhenTight &&
         replies_.pending() < kMaxPending;
}

void Session::update_interest() {
  if (!transport_ || is_quiet()) {
    return;
  }
  bool may_read = !ended_ && !closing_;
  if (waiting_ != Waiting::Nothing) {
    may_read = may_read && input_.size() < kMaxWaitingInput;
  } else if (pinned.uploading && pinned.connection != nullptr) {
    may_read =
        may_read && pinned.connection->pipeline().unsent() < upstream::Connection::kHighWater;
  } else {
    may_read = may_read && !output_is_full();
  }
  std::uint32_t interest = interest_ & EPOLLRDHUP;
  if (ended_) {
    interest = 0;
  }
  interest |= may_read ? EPOLLIN : 0U;
  interest |= write_blocked_ ? EPOLLOUT : 0U;
  if (interest != interest_) {
    interest_ = interest;
    context_.runtime.poller.modify(transport_->descriptor(), this, interest);
  }
}

void Session::pause(upstream::Connection& connection) {
  paused_.push_back(&connection);
  connection.pause_reading();
  schedule_flush();
}

void Session::resume_paused() {
  for (upstream::Connection* connection : std::exchange(paused_, {})) {
    const upstream::SlotIndex head = connection->pipeline().head();
    const bool later = transport_ && head != upstream::kNoSlot &&
                       context_.runtime.slots[head].session == ref_ &&
                       !replies_.is_first(context_.runtime.slots[head].place);
    if (later && connection->pipeline().streaming()) {
      paused_.push_back(connection);  // its reply's turn has not come: it would be held whole
    } else {
      connection->resume_reading();
    }
  }
}

void Session::forget_lane(const upstream::Connection& lane) {
  for (Binding& candidate : bindings) {
    if (candidate.lane == &lane) {
      candidate.lane = nullptr;
    }
  }
}

void Session::forget(const upstream::Connection& connection) {
  std::erase(paused_, &connection);
}

void Session::close_after_replies(metrics::CloseReason reason) {
  closing_ = true;
  close_reason_ = reason;
  input_ = {};
  schedule_flush();
}

void Session::drain() {
  if (pinned.blocking > 0 || pinned.multi) {
    draining_ = true;  // a transaction may end, a blocked command may be woken
    return;
  }
  close_after_replies(metrics::CloseReason::Drain);
}

void Session::close(metrics::CloseReason reason) {
  if (!transport_) {
    return;
  }
  auto& metrics = context_.runtime.metrics;
  metrics.sessions_closed.at(static_cast<std::size_t>(reason)).add();
  metrics.sessions.sub();
  context_.runtime.poller.remove(transport_->descriptor(), this);
  transport_.reset();
  resume_paused();
  if (state.monitoring) {
    context_.shared.monitors.fetch_sub(1);
  }
  drop_pinned(context_, *this);
  forget_reads(context_, *this);
  drop_charges(context_, *this);
  context_.shared.sessions.fetch_sub(1);
  context_.sessions.remove(ref_);
}

Binding& Session::other_binding(route::NodeId node) {
  for (Binding& candidate : bindings) {
    if (candidate.node == node) {
      return candidate;
    }
  }
  bindings.push_back({node, 0, 0, nullptr});
  return bindings.back();
}

std::uint32_t Session::in_flight() const {
  std::uint32_t sum = pinned.in_flight + static_cast<std::uint32_t>(lease_waits.size());
  for (const Binding& candidate : bindings) {
    sum += candidate.in_flight;
  }
  return sum + joined();
}

std::uint32_t Session::writes_in_flight() const {
  std::uint32_t sum = 0;
  for (const Binding& candidate : bindings) {
    sum += candidate.writes;
  }
  return sum;
}

}  // namespace pannier::proxy
