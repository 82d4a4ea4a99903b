#include "pannier/proxy/session.hpp"

#include "pannier/base/bytes.hpp"
#include "pannier/base/log.hpp"
#include "pannier/net/socket.hpp"
#include "pannier/proxy/context.hpp"
#include "pannier/resp/reply_writer.hpp"

#include "cached_reads.hpp"
#include "policy_stage.hpp"
#include "request_handler.hpp"
#include "retries.hpp"

#include <sys/epoll.h>

#include <algorithm>
#include <chrono>
#include <utility>

namespace pannier::proxy {
namespace {

constexpr std::size_t kRead = 64 * 1024;  // at once
constexpr std::size_t kReadWhenTight = 16 * 1024;
constexpr std::size_t kReadWhenFull = 4 * 1024;

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
  context_.runtime.memory.sessions -= charged_;
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
    update_interest();
  }
  if (transport_ && (events & EPOLLOUT) != 0) {
    schedule_flush();
  }
}

void Session::read() {
  upstream::WorkerMemory& memory = context_.runtime.memory;
  memory.look();
  if (!is_quiet() && !may_read()) {
    update_interest();
    return;
  }
  char* const scratch = context_.runtime.scratch.get();
  const std::size_t most = memory.choose(kRead, kReadWhenTight, kReadWhenFull);
  const net::IoResult result = transport_->read_some(std::span(scratch, most));
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
  charge();
  update_interest();
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
    if (output_is_full()) {
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
  if (!retries.empty() && !handle_retries(context_, *this)) {
    if (transport_) {
      update_interest();
      schedule_flush();
    }
    return;
  }
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

void Session::schedule_flush() {
  if (!flush_scheduled_) {
    flush_scheduled_ = true;
    context_.unflushed.push_back(ref_);
  }
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

// Nothing that could change what the poller is asked for: the common case.
bool Session::is_quiet() const {
  return interest_ == (EPOLLIN | EPOLLRDHUP) && waiting_ == Waiting::Nothing && !write_blocked_ &&
         !ended_ && !closing_ && !pinned.uploading && output_bytes() < kMostOutputWhenFull &&
         replies_.pending() < kMaxPending && context_.runtime.memory.is_normal();
}

bool Session::may_read() const {
  if (ended_ || closing_) {
    return false;
  }
  if (waiting_ != Waiting::Nothing) {
    return input_.size() < kMaxWaitingInput;
  }
  if (pinned.uploading) {
    return pinned.connection == nullptr || !pinned.connection->is_over_high_water();
  }
  // What a client that has gone holds goes when its end is read.
  const bool says_no_more = (interest_ & EPOLLRDHUP) == 0;
  return !output_is_full() &&
         (input_.empty() || says_no_more || !context_.runtime.memory.is_full());
}

void Session::update_interest() {
  if (!transport_ || is_quiet()) {
    return;
  }
  std::uint32_t interest = interest_ & EPOLLRDHUP;
  if (ended_) {
    interest = 0;
  }
  interest |= may_read() ? EPOLLIN : 0U;
  interest |= write_blocked_ ? EPOLLOUT : 0U;
  if (interest != interest_) {
    interest_ = interest;
    context_.runtime.poller.modify(transport_->descriptor(), this, interest);
  }
}

void Session::forget_lane(const upstream::Connection& lane) {
  for (Binding& candidate : bindings) {
    if (candidate.lane == &lane) {
      candidate.lane = nullptr;
    }
  }
}

void Session::close_after_replies(metrics::CloseReason reason) {
  closing_ = true;
  close_reason_ = reason;
  std::string().swap(input_);
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
