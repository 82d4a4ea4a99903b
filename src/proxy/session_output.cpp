#include "pannier/base/bytes.hpp"
#include "pannier/base/log.hpp"
#include "pannier/proxy/context.hpp"
#include "pannier/proxy/session.hpp"

#include <array>
#include <chrono>
#include <utility>

// What waits for a client: how it leaves, how much of it there may be, and what a client that does
// not read has to expect.
namespace pannier::proxy {
namespace {

constexpr std::size_t kIovecs = 64;
constexpr std::size_t kWriteThrough = 16 * 1024;  // larger pieces skip the queue when it is empty

}  // namespace

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

std::size_t Session::most_output() const {
  return context_.runtime.memory.choose(kMostOutput, kMostOutputWhenTight, kMostOutputWhenFull);
}

std::uint32_t Session::max_pending() const {
  return static_cast<std::uint32_t>(
      context_.runtime.memory.choose(kMaxPending, kMaxPending / 8, kFewestPending));
}

// One who reads what there is may have much under way; when memory is short, one who does not may
// have nothing more.
bool Session::is_output_full_now() const {
  return replies_.pending() >= max_pending() || output_bytes() > most_output() ||
         (write_blocked_ && !context_.runtime.memory.is_normal());
}

bool Session::is_over_window() const {
  return output_bytes() >
         context_.runtime.memory.choose(kMostOutput, kPauseAt / 4, kMostOutputWhenTight);
}

bool Session::wants_pause() const {
  return output_bytes() >
         context_.runtime.memory.choose(kPauseAt, kMostOutputWhenTight, kMostOutputWhenFull);
}

std::size_t Session::held_bytes() const {
  const std::size_t upstream = pinned.connection == nullptr ? 0 : pinned.connection->held_bytes();
  return output_bytes() + input_.capacity() + upstream;
}

// What the blocks do not count.
void Session::charge() {
  const std::size_t now = input_.capacity() + replies_.held_bytes();
  if (now != charged_) {
    context_.runtime.memory.sessions += now - charged_;
    charged_ = now;
  }
}

void Session::on_memory_eased() {
  if (waiting_ == Waiting::Output && !output_is_full()) {
    wake();
  }
  update_interest();
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
  if (!transport_ || !keep_output_limit()) {
    return;
  }
  charge();
  const std::size_t resume_at =
      context_.runtime.memory.choose(kResumeAt, kMostOutputWhenTight / 4, kMostOutputWhenFull / 4);
  if (!paused_.empty() && out_.size() < resume_at) {
    resume_paused();
  }
  if (waiting_ == Waiting::Output && !output_is_full()) {
    wake();
  }
  update_interest();
  finish_if_done();
}

// What may wait for it, as configured for its kind of client; false: it was closed over that.
bool Session::keep_output_limit() {
  const std::size_t bytes = output_bytes();
  if (bytes == 0) {
    over_soft_since_ = {};
    return true;
  }
  const config::OutputLimits& limits = context_.shared.config.output_limits;
  const bool is_told = state.monitoring || pinned.monitoring || pinned.subscribed();
  const config::OutputLimit& limit = is_told ? limits.pubsub : limits.normal;
  if (limit.hard != 0 && bytes > limit.hard) {
    close_over_limit(is_told, "hard", limit.hard);
    return false;
  }
  if (limit.soft == 0 || bytes <= limit.soft) {
    over_soft_since_ = {};
    return true;
  }
  if (over_soft_since_ == base::TimePoint{}) {
    over_soft_since_ = context_.runtime.now;
    // A client that reads nothing has no events of its own.
    context_.runtime.timers.add(context_.runtime.now + limit.soft_for,
                                [&context = context_, ref = ref_, since = over_soft_since_] {
                                  Session* session = context.sessions.find(ref);
                                  if (session != nullptr && session->over_soft_since_ == since) {
                                    static_cast<void>(session->keep_output_limit());
                                  }
                                });
  } else if (context_.runtime.now - over_soft_since_ >= limit.soft_for) {
    close_over_limit(is_told, "soft", limit.soft);
    return false;
  }
  return true;
}

void Session::close_over_limit(bool is_told, std::string_view which, std::uint64_t limit) {
  base::log_warn("session",
                 "client {} does not read: {} wait for it, over output_limits.{}.{} of {}; it is "
                 "closed",
                 state.remote_address,
                 base::human_bytes(output_bytes()),
                 is_told ? "pubsub" : "normal",
                 which,
                 base::human_bytes(limit));
  close(metrics::CloseReason::OutputLimit);
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

void Session::forget(const upstream::Connection& connection) {
  std::erase(paused_, &connection);
}

}  // namespace pannier::proxy
