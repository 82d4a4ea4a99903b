#pragma once

#include "pannier/proxy/context.hpp"

#include "reply_router.hpp"

#include <catch2/catch.hpp>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace pannier::proxy {

// What a worker has, without its loop: sessions over socket pairs that the test makes move.
class Sessions final : public net::TurnHooks {
 public:
  Sessions() {
    config.listen.emplace_back();
    router.bind(context);
  }

  ~Sessions() {
    for (const int end : clients_) {
      ::close(end);
    }
  }

  Sessions(const Sessions&) = delete;
  Sessions& operator=(const Sessions&) = delete;

  void begin_turn() override {}

  void end_turn() override {}

  [[nodiscard]] std::unique_ptr<Session> make(upstream::SessionRef ref) {
    std::array<int, 2> ends{};
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends.data()) == 0);
    client = ends[1];
    clients_.push_back(client);
    return std::make_unique<Session>(
        context, ref, std::make_unique<net::SocketTransport>(ends[0]), config.listen[0]);
  }

  // A session in the table; `client` is its other end.
  Session& add() {
    const upstream::SessionRef ref = context.sessions.reserve();
    context.sessions.put(ref, make(ref));
    return *context.sessions.find(ref);
  }

  void say(std::string_view bytes) const {
    REQUIRE(::send(client, bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
            static_cast<ssize_t>(bytes.size()));
  }

  // What has come by now.
  [[nodiscard]] std::string heard() const {
    std::string out(65536, '\0');
    const ssize_t n = ::recv(client, out.data(), out.size(), MSG_DONTWAIT);
    out.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    return out;
  }

  void hang_up() {
    ::close(clients_.back());
    clients_.pop_back();
    client = -1;
  }

  config::Config config = sized();  // before what is made of it
  Shared shared{config};
  ReplyRouter router;
  Context context{*this, router, shared, 0};
  int client = -1;  // the other end of the session made last

 private:
  [[nodiscard]] static config::Config sized() {
    config::Config out;
    out.memory = 256 * 1024 * 1024;
    out.near_cache = 1024 * 1024;
    return out;
  }

  std::vector<int> clients_;
};

}  // namespace pannier::proxy
