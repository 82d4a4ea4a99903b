#include "scripted_server.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cctype>
#include <condition_variable>
#include <deque>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <utility>

namespace pannier::test {

namespace {

using namespace std::chrono_literals;
using Strings = std::vector<std::string>;

constexpr std::string_view kCanary = "pannier:canary";

std::string upper(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) {
    return static_cast<char>(std::toupper(c));
  });
  return text;
}

Strings strings(const Words& words) {
  Strings out(words.begin(), words.end());
  out.at(0) = upper(out.at(0));
  return out;
}

bool begins_with(const Strings& words, const Strings& wanted) {
  return words.size() >= wanted.size() && std::equal(wanted.begin(), wanted.end(), words.begin());
}

std::string array(const Strings& words) {
  std::string out = "*" + std::to_string(words.size()) + "\r\n";
  for (const std::string& word : words) {
    out += bulk(word);
  }
  return out;
}

// The words of the request that `input` begins with, taken from it; empty: it is not whole yet.
Strings take_request(std::string& input) {
  const std::size_t end = input.empty() ? 0 : frame_end(input);
  if (end == 0) {
    return {};
  }
  Strings words;
  std::size_t at = input.find("\r\n") + 2;
  while (at < end) {
    const std::size_t line = input.find("\r\n", at);
    const auto size = static_cast<std::size_t>(std::stoll(input.substr(at + 1, line - at - 1)));
    words.push_back(input.substr(line + 2, size));
    at = line + 2 + size + 2;
  }
  input.erase(0, end);
  words.at(0) = upper(words.at(0));
  return words;
}

std::string info(const Strings& words) {
  const std::string section = words.size() > 1 ? words[1] : "";
  if (section == "server") {
    return "# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\nrun_id:scripted\r\n";
  }
  if (section == "persistence") {
    return "# Persistence\r\nloading:0\r\n";
  }
  return "# Replication\r\nrole:master\r\nconnected_slaves:0\r\nmaster_replid:history\r\n"
         "master_repl_offset:100\r\n";
}

struct Answer {
  std::optional<std::string> bytes;  // none yet: it is held
};

struct Peer {
  int number = 0;
  int descriptor = -1;
  std::string input;
  std::deque<std::shared_ptr<Answer>> answers;
  bool modern = false;  // it said HELLO 3
  bool hears = false;
  bool of_tracker = false;
  bool gone = false;
};

struct Held {
  ScriptedServer::Request request;
  std::shared_ptr<Answer> answer;
};

}  // namespace

struct ScriptedServer::Impl {
  void run();
  void accept_one();
  void receive(Peer& peer);
  void take(Peer& peer, Strings words);
  [[nodiscard]] std::string answer_to(Peer& peer, const Strings& words);
  [[nodiscard]] std::string answer_client(Peer& peer, const Strings& words);
  void write(Peer& peer, std::string_view bytes) const;
  void release(Peer& peer);
  void tell(std::string_view payload);
  [[nodiscard]] Peer* find(int number);

  mutable std::mutex mutex;
  std::condition_variable changed;
  bool resp3 = true;
  int listener = -1;
  int port = 0;
  int accepted = 0;
  std::list<Peer> peers;
  std::map<std::string, std::string> keys;
  std::string pttl = ":-1\r\n";
  std::vector<std::pair<Strings, std::string>> said;
  std::vector<Strings> holds;
  std::deque<Held> held;
  std::vector<Request> requests;
  bool dropping_canaries = false;
  bool silent = false;
  bool refusing = false;
  std::atomic<bool> stopping{false};
  std::thread thread;
};

void ScriptedServer::Impl::run() {
  while (!stopping) {
    std::vector<pollfd> wishes{{listener, POLLIN, 0}};
    {
      const std::lock_guard lock(mutex);
      for (auto peer = peers.begin(); peer != peers.end();) {
        if (peer->gone) {
          ::close(peer->descriptor);
          peer = peers.erase(peer);
        } else {
          wishes.push_back({peer->descriptor, POLLIN, 0});
          ++peer;
        }
      }
    }
    if (::poll(wishes.data(), wishes.size(), 5) <= 0) {
      continue;
    }
    const std::lock_guard lock(mutex);
    std::size_t i = 1;
    for (Peer& peer : peers) {
      if (wishes[i++].revents != 0 && !peer.gone) {
        receive(peer);
      }
    }
    if (wishes[0].revents != 0) {
      accept_one();
    }
    changed.notify_all();
  }
}

void ScriptedServer::Impl::accept_one() {
  const int descriptor = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
  if (descriptor < 0) {
    return;
  }
  const int on = 1;
  ::setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  const timeval limit{5, 0};
  ::setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
  Peer peer;
  peer.number = ++accepted;
  peer.descriptor = descriptor;
  peers.push_back(std::move(peer));
}

void ScriptedServer::Impl::receive(Peer& peer) {
  std::array<char, 64UL * 1024> buffer;  // NOLINT(*-member-init): recv fills what is used
  const ssize_t n = ::recv(peer.descriptor, buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (n < 0 && errno == EAGAIN) {
    return;
  }
  if (n <= 0) {
    peer.gone = true;
    return;
  }
  peer.input.append(buffer.data(), static_cast<std::size_t>(n));
  for (Strings words = take_request(peer.input); !words.empty() && !peer.gone;
       words = take_request(peer.input)) {
    take(peer, std::move(words));
  }
}

void ScriptedServer::Impl::take(Peer& peer, Strings words) {
  const bool about_tracking = words[0] == "SUBSCRIBE" ||
                              (words.size() > 1 && words[0] == "CLIENT" && words[1] == "TRACKING" &&
                               std::find(words.begin(), words.end(), "BCAST") != words.end());
  const bool canary = words.size() > 1 && words[1] == kCanary;
  peer.of_tracker = peer.of_tracker || about_tracking || canary;
  requests.push_back({peer.number, words});
  if (about_tracking && refusing) {
    peer.gone = true;
    return;
  }
  if (silent && peer.of_tracker) {
    return;
  }
  auto answer = std::make_shared<Answer>();
  peer.answers.push_back(answer);
  const auto matches = [&](const Strings& wanted) {
    return begins_with(words, wanted);
  };
  if (std::any_of(holds.begin(), holds.end(), matches)) {
    held.push_back({requests.back(), answer});
    return;
  }
  answer->bytes = answer_to(peer, words);
  release(peer);
  if (words[0] == "SET" && canary && !dropping_canaries) {
    tell(array({std::string(kCanary)}));
  }
}

std::string ScriptedServer::Impl::answer_to(Peer& peer, const Strings& words) {
  for (const auto& [wanted, reply] : said) {
    if (begins_with(words, wanted)) {
      return reply;
    }
  }
  const std::string& name = words[0];
  const auto key = words.size() > 1 ? keys.find(words[1]) : keys.end();
  if (name == "GET") {
    return key != keys.end() ? bulk(key->second) : peer.modern ? "_\r\n" : "$-1\r\n";
  }
  if (name == "SET") {
    keys[words.at(1)] = words.at(2);
    return "+OK\r\n";
  }
  if (name == "DEL") {
    return ":" + std::to_string(keys.erase(words.at(1))) + "\r\n";
  }
  if (name == "STRLEN") {
    return ":" + std::to_string(key == keys.end() ? 0 : key->second.size()) + "\r\n";
  }
  if (name == "PTTL") {
    return pttl;
  }
  if (name == "INFO") {
    return bulk(info(words));
  }
  if (name == "ROLE") {
    return "*3\r\n$6\r\nmaster\r\n:100\r\n*0\r\n";
  }
  if (name == "PING") {
    return "+PONG\r\n";
  }
  if (name == "SELECT") {
    return "+OK\r\n";
  }
  if (name == "HELLO") {
    peer.modern = resp3;
    return resp3 ? "%1\r\n$5\r\nproto\r\n:3\r\n" : "-ERR unknown command 'HELLO'\r\n";
  }
  if (name == "SUBSCRIBE") {
    peer.hears = true;
    return "*3\r\n" + bulk("subscribe") + bulk(words.at(1)) + ":1\r\n";
  }
  return name == "CLIENT" ? answer_client(peer, words) : "-ERR unknown command\r\n";
}

std::string ScriptedServer::Impl::answer_client(Peer& peer, const Strings& words) {
  const std::string what = upper(words.at(1));
  const auto has = [&](const char* word) {
    return std::find(words.begin(), words.end(), word) != words.end();
  };
  peer.hears = peer.hears || (what == "TRACKING" && has("BCAST") && !has("REDIRECT"));
  return what == "ID" ? ":" + std::to_string(peer.number) + "\r\n" : "+OK\r\n";
}

void ScriptedServer::Impl::write(Peer& peer, std::string_view bytes) const {
  while (!bytes.empty() && !peer.gone) {
    const ssize_t n = ::send(peer.descriptor, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    peer.gone = n < 0;
    bytes.remove_prefix(n < 0 ? 0 : static_cast<std::size_t>(n));
  }
}

// Replies leave in order, up to the first one that is held.
void ScriptedServer::Impl::release(Peer& peer) {
  while (!peer.answers.empty() && peer.answers.front()->bytes) {
    write(peer, *peer.answers.front()->bytes);
    peer.answers.pop_front();
  }
}

void ScriptedServer::Impl::tell(std::string_view payload) {
  if (silent) {
    return;
  }
  const std::string head = resp3 ? ">2\r\n" + bulk("invalidate")
                                 : "*3\r\n" + bulk("message") + bulk("__redis__:invalidate");
  for (Peer& peer : peers) {
    if (peer.hears) {
      write(peer, head + std::string(payload));
    }
  }
}

Peer* ScriptedServer::Impl::find(int number) {
  const auto found = std::find_if(
      peers.begin(), peers.end(), [number](const Peer& peer) { return peer.number == number; });
  return found == peers.end() ? nullptr : &*found;
}

ScriptedServer::ScriptedServer(bool resp3) : impl_(std::make_unique<Impl>()) {
  impl_->resp3 = resp3;
  impl_->listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  if (::bind(impl_->listener, reinterpret_cast<const sockaddr*>(&address), length) != 0 ||
      ::listen(impl_->listener, 128) != 0 ||
      ::getsockname(impl_->listener, reinterpret_cast<sockaddr*>(&address), &length) != 0) {
    throw std::system_error(errno, std::generic_category(), "scripted server");
  }
  impl_->port = ntohs(address.sin_port);
  impl_->thread = std::thread([impl = impl_.get()] { impl->run(); });
}

ScriptedServer::~ScriptedServer() {
  impl_->stopping = true;
  impl_->thread.join();
  for (const Peer& peer : impl_->peers) {
    ::close(peer.descriptor);
  }
  ::close(impl_->listener);
}

int ScriptedServer::port() const {
  return impl_->port;
}

void ScriptedServer::set(std::string_view key, std::string_view value) {
  const std::lock_guard lock(impl_->mutex);
  impl_->keys[std::string(key)] = value;
}

void ScriptedServer::set_pttl(std::string_view reply) {
  const std::lock_guard lock(impl_->mutex);
  impl_->pttl = reply;
}

void ScriptedServer::say(const Words& words, std::string_view reply) {
  const std::lock_guard lock(impl_->mutex);
  impl_->said.emplace(impl_->said.begin(), strings(words), reply);
}

void ScriptedServer::hold(const Words& words) {
  const std::lock_guard lock(impl_->mutex);
  impl_->holds.push_back(strings(words));
}

void ScriptedServer::let(const Words& words) {
  const std::lock_guard lock(impl_->mutex);
  const Strings wanted = strings(words);
  std::erase(impl_->holds, wanted);
  std::erase_if(impl_->said, [&](const auto& each) { return each.first == wanted; });
}

std::vector<ScriptedServer::Request> ScriptedServer::wait_for_held(std::size_t count) {
  std::unique_lock lock(impl_->mutex);
  if (!impl_->changed.wait_for(lock, kLimit, [&] { return impl_->held.size() >= count; })) {
    throw std::runtime_error("scripted server: only " + std::to_string(impl_->held.size()) +
                             " requests are held");
  }
  std::vector<Request> out;
  for (const Held& each : impl_->held) {
    out.push_back(each.request);
  }
  return out;
}

void ScriptedServer::answer(std::string_view reply, std::size_t place) {
  const std::lock_guard lock(impl_->mutex);
  const Held held = impl_->held.at(place);
  impl_->held.erase(impl_->held.begin() + static_cast<std::ptrdiff_t>(place));
  held.answer->bytes = reply;
  if (Peer* peer = impl_->find(held.request.connection)) {
    impl_->release(*peer);
  }
}

void ScriptedServer::answer_all() {
  const std::lock_guard lock(impl_->mutex);
  for (const Held& held : std::exchange(impl_->held, {})) {
    if (Peer* peer = impl_->find(held.request.connection)) {
      held.answer->bytes = impl_->answer_to(*peer, held.request.words);
      impl_->release(*peer);
    }
  }
}

void ScriptedServer::invalidate(const Words& keys) {
  push_payload(array(Strings(keys.begin(), keys.end())));
}

void ScriptedServer::push_payload(std::string_view payload) {
  const std::lock_guard lock(impl_->mutex);
  impl_->tell(payload);
}

void ScriptedServer::push(std::string_view bytes) {
  const std::lock_guard lock(impl_->mutex);
  for (Peer& peer : impl_->peers) {
    if (peer.hears) {
      impl_->write(peer, bytes);
    }
  }
}

void ScriptedServer::push_to(int connection, std::string_view bytes) {
  const std::lock_guard lock(impl_->mutex);
  if (Peer* peer = impl_->find(connection)) {
    impl_->write(*peer, bytes);
  }
}

void ScriptedServer::drop_canaries(bool on) {
  const std::lock_guard lock(impl_->mutex);
  impl_->dropping_canaries = on;
}

void ScriptedServer::silence_hearers(bool on) {
  const std::lock_guard lock(impl_->mutex);
  impl_->silent = on;
}

void ScriptedServer::close_hearers() {
  const std::lock_guard lock(impl_->mutex);
  for (Peer& peer : impl_->peers) {
    peer.gone = peer.gone || peer.hears;
  }
}

void ScriptedServer::close(int connection) {
  const std::lock_guard lock(impl_->mutex);
  if (Peer* peer = impl_->find(connection)) {
    peer->gone = true;
  }
}

void ScriptedServer::refuse_hearers(bool on) {
  const std::lock_guard lock(impl_->mutex);
  impl_->refusing = on;
}

std::size_t ScriptedServer::hearers() const {
  const std::lock_guard lock(impl_->mutex);
  return static_cast<std::size_t>(std::count_if(
      impl_->peers.begin(), impl_->peers.end(), [](const Peer& p) { return p.hears && !p.gone; }));
}

std::size_t ScriptedServer::count(const Words& words) const {
  const std::lock_guard lock(impl_->mutex);
  const Strings wanted = strings(words);
  return static_cast<std::size_t>(
      std::count_if(impl_->requests.begin(), impl_->requests.end(), [&](const Request& each) {
        return begins_with(each.words, wanted);
      }));
}

std::vector<ScriptedServer::Request> ScriptedServer::requests() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->requests;
}

void ScriptedServer::forget_requests() {
  const std::lock_guard lock(impl_->mutex);
  impl_->requests.clear();
}

}  // namespace pannier::test
