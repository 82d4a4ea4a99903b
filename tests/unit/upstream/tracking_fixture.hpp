#pragma once

#include "pannier/resp/request_parser.hpp"
#include "pannier/upstream/tracking.hpp"

#include "upstream_fixture.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pannier::test {

using Words = std::vector<std::string>;

inline std::string bulk(std::string_view text) {
  return "$" + std::to_string(text.size()) + "\r\n" + std::string(text) + "\r\n";
}

inline std::string array_of(const Words& texts) {
  std::string out = "*" + std::to_string(texts.size()) + "\r\n";
  for (const std::string& text : texts) {
    out += bulk(text);
  }
  return out;
}

// A server as far as tracking sees one, on the test's own thread: `serve` answers what has come.
// Whatever it says can be scripted.
class FakeNode {
 public:
  struct Client {
    int descriptor = -1;
    int id = 0;
    bool resp3 = false;
    bool tracked = false;
    int redirect = 0;
    Words channels;
    std::string input;
  };

  FakeNode() : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)) {
    const auto any = base::SocketAddress::from_ip("127.0.0.1", 0);
    REQUIRE(::bind(listener_, reinterpret_cast<const sockaddr*>(&any.storage), any.length) == 0);
    REQUIRE(::listen(listener_, 64) == 0);
    address_ = net::local_address(listener_);
  }

  ~FakeNode() {
    stop();
    hang_up();
  }

  FakeNode(const FakeNode&) = delete;
  FakeNode& operator=(const FakeNode&) = delete;

  [[nodiscard]] const base::SocketAddress& address() const { return address_; }

  void serve() {
    for (int peer = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK); peer >= 0;
         peer = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK)) {
      const int on = 1;
      ::setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
      clients.push_back({peer, ++last_id, false, false, 0, {}, {}});
    }
    for (auto client = clients.begin(); client != clients.end();) {
      client = read(*client) ? std::next(client) : drop(client);
    }
  }

  // From now on connections are refused.
  void stop() {
    if (listener_ >= 0) {
      ::close(std::exchange(listener_, -1));
    }
  }

  void hang_up() {
    while (!clients.empty()) {
      drop(clients.begin());
    }
  }

  // A push to everyone who is tracked, as each is to hear it.
  void push(const std::string& payload) {
    for (const Client& client : clients) {
      if (client.tracked && client.redirect == 0 && pushes_to_resp3) {
        say(client, ">2\r\n" + bulk("invalidate") + payload);
      } else if (client.tracked && client.redirect != 0 && pushes_to_resp2) {
        for (const Client& target : clients) {
          if (target.id == client.redirect) {
            say(target, "*3\r\n" + bulk("message") + bulk("__redis__:invalidate") + payload);
          }
        }
      }
    }
  }

  void publish(const std::string& channel, const std::string& text) {
    for (const Client& client : clients) {
      for (const std::string& subscribed : client.channels) {
        if (subscribed == channel) {
          say(client, "*3\r\n" + bulk("message") + bulk(channel) + bulk(text));
        }
      }
    }
  }

  // The one that pushes go to.
  [[nodiscard]] const Client& hearer() const {
    for (const Client& client : clients) {
      if ((client.tracked && client.redirect == 0) || !client.channels.empty()) {
        return client;
      }
    }
    throw std::runtime_error("nobody hears");
  }

  static void say(const Client& client, std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::send(client.descriptor, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) {
        return;  // it has gone
      }
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
  }

  [[nodiscard]] std::size_t count(const std::string& start) const {
    return static_cast<std::size_t>(
        std::count_if(heard.begin(), heard.end(), [&](const std::string& line) {
          return line.starts_with(start);
        }));
  }

  std::list<Client> clients;
  int last_id = 100;
  std::map<std::string, std::string> refusals;  // by the start of the command's line
  bool pushes_to_resp3 = true;
  bool pushes_to_resp2 = true;
  bool silent = false;
  std::string run_id = "r1";
  std::string canary;
  std::vector<std::string> heard;

 private:
  bool read(Client& client) {
    std::string buffer(64 * 1024, '\0');
    for (;;) {
      const ssize_t n = ::recv(client.descriptor, buffer.data(), buffer.size(), 0);
      if (n == 0 || (n < 0 && errno != EAGAIN)) {
        return false;
      }
      if (n < 0) {
        break;
      }
      client.input.append(buffer, 0, static_cast<std::size_t>(n));
    }
    const resp::Limits limits;
    resp::RequestParser parser(limits);
    while (parser.parse(client.input) == resp::RequestParser::Status::Complete) {
      Words words;
      for (const std::string_view word : parser.request().arguments) {
        words.emplace_back(word);
      }
      client.input.erase(0, parser.consumed());
      if (!silent) {
        answer(client, words);
      }
      static_cast<void>(parser.parse(""));
    }
    return true;
  }

  std::list<Client>::iterator drop(std::list<Client>::iterator client) {
    ::close(client->descriptor);
    return clients.erase(client);
  }

  void answer(Client& client, const Words& words) {
    std::string line;
    for (const std::string& word : words) {
      line += (line.empty() ? "" : " ") + word;
    }
    heard.push_back(line);
    for (const auto& [start, reply] : refusals) {
      if (line.starts_with(start)) {
        say(client, reply);
        return;
      }
    }
    if (words[0] == "HELLO") {
      client.resp3 = true;
      say(client, "%1\r\n$5\r\nproto\r\n:3\r\n");
    } else if (words[0] == "INFO") {
      say(client, bulk("run_id:" + run_id + "\r\n"));
    } else if (words[0] == "PING") {
      say(client, client.channels.empty() ? "+PONG\r\n" : "*2\r\n$4\r\npong\r\n$0\r\n\r\n");
    } else if (words[0] == "GET") {
      say(client, bulk(canary));
    } else if (words[0] == "SUBSCRIBE") {
      subscribe(client, words);
    } else if (words[0] == "SET") {
      canary = words[2];
      say(client, "+OK\r\n");
      push(array_of({words[1]}));
    } else if (words[0] == "PUBLISH") {
      publish(words[1], words[2]);
      say(client, ":1\r\n");
    } else {
      answer_client(client, words);
    }
  }

  static void subscribe(Client& client, const Words& words) {
    for (std::size_t i = 1; i < words.size(); ++i) {
      client.channels.push_back(words[i]);
      say(client, "*3\r\n" + bulk("subscribe") + bulk(words[i]) + ":" + std::to_string(i) + "\r\n");
    }
  }

  static void answer_client(Client& client, const Words& words) {
    if (words[1] == "ID") {
      say(client, ":" + std::to_string(client.id) + "\r\n");
      return;
    }
    if (words[1] == "TRACKING") {
      client.tracked = true;
      client.redirect = words[3] == "REDIRECT" ? std::stoi(words[4]) : 0;
    }
    say(client, "+OK\r\n");
  }

  int listener_;
  base::SocketAddress address_;
};

// A tracker over scripted nodes, the first of which is the primary, and what it told: "coherent 0
// resp3", "lost 0", "k 0 name", "flush 0", "heard 0".
class Tracked final : public upstream::TrackingEvents {
 public:
  explicit Tracked(std::size_t count = 1) : nodes(count), tracking(up.runtime, *this) {}

  ~Tracked() {
    tracking.close_all();
    tracking.sweep();
    CHECK(up.runtime.slots.in_use() == 0);
    CHECK_FALSE(up.runtime.timers.next());
  }

  Tracked(const Tracked&) = delete;
  Tracked& operator=(const Tracked&) = delete;

  [[nodiscard]] std::shared_ptr<route::Topology> topology() const {
    auto out = std::make_shared<route::Topology>();
    for (const FakeNode& node : nodes) {
      out->nodes.push_back(node_at(node.address()));
      out->nodes.back().id = static_cast<route::NodeId>(out->nodes.size() - 1);
      out->nodes.back().run_id = "r1";
      out->nodes.back().role = route::Role::Replica;
    }
    out->primary = 0;
    out->nodes[0].role = route::Role::Primary;
    return out;
  }

  void start() {
    tracking.set_topology(topology());
    tracking.set_plan({{"a:"}, {}});
  }

  [[nodiscard]] bool run_until(const std::function<bool()>& done) {
    const bool met = up.run_until([&] {
      serve();
      return done();
    });
    tracking.sweep();
    return met;
  }

  [[nodiscard]] bool hears(const std::string& event, std::size_t times = 1) {
    return run_until([&] { return count(event) >= times; });
  }

  // Turns until nothing happens any more.
  void settle() {
    for (int quiet = 0; quiet < 3;) {
      const auto before = heard();
      up.flush();
      bool busy = up.turn_within(std::chrono::milliseconds(1)) > 0;
      serve();
      busy = busy || heard() != before;
      quiet = busy ? 0 : quiet + 1;
    }
    tracking.sweep();
  }

  // Time goes on in steps, and what is said in them is answered.
  void pass(base::Duration time, base::Duration step = std::chrono::milliseconds(400)) {
    for (; time > base::Duration{}; time -= step) {
      up.pass(std::min(time, step));
      settle();
    }
  }

  [[nodiscard]] std::size_t count(const std::string& event) const {
    return static_cast<std::size_t>(std::count(told.begin(), told.end(), event));
  }

  [[nodiscard]] FakeNode& node(std::size_t id = 0) {
    auto found = nodes.begin();
    std::advance(found, id);
    return *found;
  }

  [[nodiscard]] const upstream::TrackingState& state(route::NodeId id = 0) const {
    return tracking.state(id);
  }

  void on_invalidated(route::NodeId id, std::span<const std::string_view> keys) override {
    most_keys = std::max(most_keys, keys.size());
    for (const std::string_view key : keys) {
      told.push_back("k " + std::to_string(id) + " " + std::string(key));
    }
    told_of(id);
  }

  void on_flushed(route::NodeId id) override {
    told.push_back("flush " + std::to_string(id));
    told_of(id);
  }

  void on_coherent(route::NodeId id, const upstream::TrackingState& state) override {
    told.push_back("coherent " + std::to_string(id) + " " + to_string(state.rung));
    told_of(id);
  }

  void on_lost(route::NodeId id, const std::string& reason) override {
    told.push_back("lost " + std::to_string(id));
    reasons.push_back(reason);
    told_of(id);
  }

  void on_proven(route::NodeId id, base::TimePoint, base::Duration) override {
    told.push_back("heard " + std::to_string(id));
    told_of(id);
  }

  std::list<FakeNode> nodes;
  Upstream up;
  upstream::Tracking tracking;
  std::vector<std::string> told;
  std::vector<std::string> reasons;
  std::size_t most_keys = 0;
  std::function<void()> when_told;

 private:
  void serve() {
    for (FakeNode& node : nodes) {
      node.serve();
    }
  }

  [[nodiscard]] std::size_t heard() const {
    std::size_t out = 0;
    for (const FakeNode& node : nodes) {
      out += node.heard.size();
    }
    return out;
  }

  void told_of(route::NodeId) {
    if (const auto action = std::exchange(when_told, nullptr)) {
      action();
    }
  }
};

}  // namespace pannier::test
