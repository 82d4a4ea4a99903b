#include "pannier/base/log.hpp"
#include "pannier/proxy/context.hpp"
#include "pannier/proxy/session.hpp"

#include "request_handler.hpp"
#include "ttl_requests.hpp"

#include <utility>

// A request over 64 KiB: its bytes go on as they come, to an exclusive connection.
namespace pannier::proxy {

// Hands bytes of a large request on as they come; false when it wants more of them.
bool Session::upload(std::string_view input, std::size_t& used) {
  const auto status = parser_.stream(input.substr(used));
  if (status == resp::RequestParser::Status::Error) {
    drop_pinned(context_, *this);
    protocol_error();
    return false;
  }
  if (pinned.connection != nullptr && !pinned.dropping) {
    pinned.connection->send_more(input.substr(used, parser_.consumed()));
  }
  watch_upload();
  used += parser_.consumed();
  if (status == resp::RequestParser::Status::Complete) {
    finish_upload();
    return true;
  }
  return false;
}

// The last byte of a large request has come: from now on its reply has a deadline.
void Session::finish_upload() {
  const bool dropped = std::exchange(pinned.dropping, false);
  pinned.uploading = false;
  if (pinned.connection == nullptr) {
    return;
  }
  const upstream::SlotIndex index = pinned.connection->pipeline().tail();
  if (!dropped && index != upstream::kNoSlot) {
    upstream::Slot& slot = context_.runtime.slots[index];
    if (!slot.started && !slot.is_subscribe && slot.purpose != upstream::Purpose::Blocking) {
      slot.start = context_.runtime.now;
      slot.deadline = upstream::DeadlineKind::Slow;
      context_.runtime.deadlines.add(index);
    }
    if (slot.has_ttl) {
      follow_upload(context_, *this, index);
    }
  }
  release_pinned(context_, *this);
}

// A large request whose bytes stop coming holds an exclusive connection: it has `slow` to go on.
void Session::watch_upload() {
  if (watching_upload_) {
    return;
  }
  watching_upload_ = true;
  const auto slow = context_.shared.config.upstream.timeouts.slow;
  context_.runtime.timers.add(state.last_active + slow, [&context = context_, ref = ref_, slow] {
    Session* session = context.sessions.find(ref);
    if (session == nullptr) {
      return;
    }
    session->watching_upload_ = false;
    if (!session->pinned.uploading) {
      return;
    }
    if (context.runtime.now - session->state.last_active >= slow) {
      base::log_warn("session",
                     "client {} has sent nothing of its large request for timeouts.slow; it is "
                     "closed",
                     session->state.remote_address);
      session->close(metrics::CloseReason::Stalled);
    } else {
      session->watch_upload();
    }
  });
}

void Session::upload_drained() {
  if (transport_) {
    update_interest();
  }
}

}  // namespace pannier::proxy
