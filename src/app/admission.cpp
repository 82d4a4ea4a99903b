#include "admission.hpp"

#include "pannier/base/bytes.hpp"
#include "pannier/proxy/context.hpp"

#include <fmt/format.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <string_view>

namespace pannier::app {
namespace {

void turn_away(int descriptor, std::string_view text) {
  static_cast<void>(::send(descriptor, text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT));
  ::close(descriptor);
}

}  // namespace

void Admission::admit(const proxy::NewClient& client) {
  const std::uint32_t there = shared_->sessions.fetch_add(1);
  if (there >= shared_->config.maxclients) {
    shared_->sessions.fetch_sub(1);
    workers_->front()->count_refused(metrics::CloseReason::MaxClients);
    turn_away(client.descriptor, "-ERR max number of clients reached\r\n");
    return;
  }
  if (there >= kAtLeast && shared_->memory.level() == base::MemoryLevel::Full) {
    shared_->sessions.fetch_sub(1);
    workers_->front()->count_refused(metrics::CloseReason::Memory);
    turn_away(client.descriptor,
              fmt::format("-ERR Pannier's memory budget of {} is used up; connect again later\r\n",
                          base::human_bytes(shared_->config.memory)));
    return;
  }
  const auto least =
      std::min_element(workers_->begin(), workers_->end(), [](const auto& a, const auto& b) {
        return a->session_count() < b->session_count();
      });
  (*least)->add_client(client);
}

}  // namespace pannier::app
