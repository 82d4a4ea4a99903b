#include "pannier/net/resolver.hpp"

#include "pannier/base/clock.hpp"

#include <ares.h>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <netinet/in.h>
#include <sys/time.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <list>
#include <map>
#include <optional>
#include <utility>

namespace pannier::net {
namespace {

namespace asio = boost::asio;
using base::Clock;
using base::SocketAddress;
using boost::system::error_code;
using std::chrono::seconds;

constexpr seconds kShortest{1};
constexpr seconds kLongest{60};
constexpr int kFirstTryMs = 400;  // each further try takes twice as long
constexpr int kTries = 3;         // at each server

void start_library() {
  static const int done = ::ares_library_init(ARES_LIB_INIT_ALL);
  static_cast<void>(done);
}

SocketAddress address_of(const ares_addrinfo_node& node, std::uint16_t port) {
  SocketAddress out;
  if (node.ai_addr == nullptr || node.ai_addrlen > sizeof(out.storage)) {
    return out;
  }
  std::memcpy(&out.storage, node.ai_addr, node.ai_addrlen);
  out.length = node.ai_addrlen;
  if (node.ai_family == AF_INET) {
    reinterpret_cast<sockaddr_in&>(out.storage).sin_port = htons(port);
  } else if (node.ai_family == AF_INET6) {
    reinterpret_cast<sockaddr_in6&>(out.storage).sin6_port = htons(port);
  } else {
    out.length = 0;
  }
  return out;
}

LookupAnswer answer_of(const ares_addrinfo& found, std::uint16_t port) {
  LookupAnswer out;
  int ttl = std::numeric_limits<int>::max();
  for (const auto* node = found.nodes; node != nullptr; node = node->ai_next) {
    const SocketAddress address = address_of(*node, port);
    const bool known =
        std::find(out.addresses.begin(), out.addresses.end(), address) != out.addresses.end();
    if (address.length != 0 && !known) {
      out.addresses.push_back(address);
      ttl = std::min(ttl, node->ai_ttl);
    }
  }
  for (const auto* alias = found.cnames; alias != nullptr; alias = alias->next) {
    ttl = std::min(ttl, alias->ttl);
  }
  if (out.addresses.empty()) {
    out.result = LookupResult::NotFound;
    out.error = "no address";
    return out;
  }
  out.addresses = in_turns(out.addresses);
  out.result = LookupResult::Found;
  out.ttl = holds_for(seconds(ttl));
  return out;
}

LookupResult result_of(int status) {
  switch (status) {
    case ARES_ENOTFOUND:
    case ARES_ENODATA:
    case ARES_ENONAME:
      return LookupResult::NotFound;
    case ARES_ETIMEOUT:
    case ARES_ECANCELLED:
      return LookupResult::TimedOut;
    default:
      return LookupResult::Failed;
  }
}

LookupAnswer failure(int status) {
  LookupAnswer out;
  out.result = result_of(status);
  out.error = out.result == LookupResult::TimedOut ? "no answer from the name servers"
                                                   : ::ares_strerror(status);
  return out;
}

// One question, with a channel of its own: what resolv.conf says now holds for it, its source port
// is fresh, and when it is over nothing of it is left. Lives as long as handlers of it are queued.
class Question : public std::enable_shared_from_this<Question> {
 public:
  Question(asio::io_context& io, std::uint16_t port, Resolver::Done done)
      : io_(io),
        port_(port),
        done_(std::move(done)),
        timer_(io),
        deadline_(Clock::now() + Resolver::kWithin) {}

  ~Question() { drop(); }

  Question(const Question&) = delete;
  Question& operator=(const Question&) = delete;

  void ask(const std::string& host, const std::string& servers);
  // `done` is not called any more.
  void drop();

  [[nodiscard]] bool is_over() const { return !done_; }

 private:
  struct Watched {
    Watched(asio::io_context& io, int number) : descriptor(io, number) {}

    asio::posix::stream_descriptor descriptor;
    bool wants_read = false;
    bool wants_write = false;
    bool waits_to_read = false;
    bool waits_to_write = false;
  };

  static void on_socket(void* self, ares_socket_t number, int read, int write);
  static void on_answer(void* self, int status, int timeouts, ares_addrinfo* found);

  [[nodiscard]] int open(const std::string& servers);
  void note_socket(int number, bool read, bool write);
  void watch();
  void wait(int number, Watched& watched, asio::posix::descriptor_base::wait_type kind);
  void process(ares_socket_t readable, ares_socket_t writable);
  void arm();
  void answer(LookupAnswer answer);
  void end();

  asio::io_context& io_;
  std::uint16_t port_;
  Resolver::Done done_;
  asio::steady_timer timer_;
  base::TimePoint deadline_;
  ares_channel channel_ = nullptr;
  std::map<int, std::unique_ptr<Watched>> sockets_;
  std::optional<LookupAnswer> answer_;
};

int Question::open(const std::string& servers) {
  start_library();
  ares_options options{};
  options.timeout = kFirstTryMs;
  options.tries = kTries;
  std::array<char, 3> order{'f', 'b', '\0'};  // the hosts file, then name servers
  options.lookups = order.data();
  options.sock_state_cb = &Question::on_socket;
  options.sock_state_cb_data = this;
  const int given = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB;
  int status = ::ares_init_options(&channel_, &options, given);
  if (status != ARES_SUCCESS) {
    channel_ = nullptr;
    return status;
  }
  if (!servers.empty()) {
    status = ::ares_set_servers_ports_csv(channel_, servers.c_str());
  }
  return status;
}

void Question::ask(const std::string& host, const std::string& servers) {
  const int status = open(servers);
  if (status != ARES_SUCCESS) {
    answer(failure(status));
    return;
  }
  ares_addrinfo_hints hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  ::ares_getaddrinfo(channel_, host.c_str(), nullptr, &hints, &Question::on_answer, this);
  watch();
  arm();
}

void Question::on_socket(void* self, ares_socket_t number, int read, int write) {
  static_cast<Question*>(self)->note_socket(number, read != 0, write != 0);
}

// c-ares owns its sockets and tells before it closes one.
void Question::note_socket(int number, bool read, bool write) {
  auto found = sockets_.find(number);
  if (!read && !write) {
    if (found != sockets_.end()) {
      found->second->descriptor.release();
      sockets_.erase(found);
    }
    return;
  }
  if (found == sockets_.end()) {
    found = sockets_.emplace(number, std::make_unique<Watched>(io_, number)).first;
  }
  found->second->wants_read = read;
  found->second->wants_write = write;
}

void Question::on_answer(void* self, int status, int timeouts, ares_addrinfo* found) {
  static_cast<void>(timeouts);
  auto* question = static_cast<Question*>(self);
  const bool good = status == ARES_SUCCESS && found != nullptr;
  LookupAnswer answer = good ? answer_of(*found, question->port_) : failure(status);
  if (found != nullptr) {
    ::ares_freeaddrinfo(found);
  }
  question->answer(std::move(answer));
}

// c-ares is on the stack, or look_up is: the rest comes later.
void Question::answer(LookupAnswer answer) {
  if (answer_ || is_over()) {
    return;
  }
  answer_ = std::move(answer);
  asio::post(io_, [self = shared_from_this()] {
    const auto done = std::exchange(self->done_, nullptr);
    self->end();
    if (done) {
      done(*self->answer_);
    }
  });
}

void Question::watch() {
  for (auto& [number, watched] : sockets_) {
    if (watched->wants_read && !std::exchange(watched->waits_to_read, true)) {
      wait(number, *watched, asio::posix::descriptor_base::wait_read);
    }
    if (watched->wants_write && !std::exchange(watched->waits_to_write, true)) {
      wait(number, *watched, asio::posix::descriptor_base::wait_write);
    }
  }
}

void Question::wait(int number, Watched& watched, asio::posix::descriptor_base::wait_type kind) {
  const bool reads = kind == asio::posix::descriptor_base::wait_read;
  watched.descriptor.async_wait(
      kind, [self = shared_from_this(), number, reads](const error_code& error) {
        const auto found = self->sockets_.find(number);
        if (error || self->is_over() || found == self->sockets_.end()) {
          return;
        }
        (reads ? found->second->waits_to_read : found->second->waits_to_write) = false;
        self->process(reads ? number : ARES_SOCKET_BAD, reads ? ARES_SOCKET_BAD : number);
      });
}

void Question::process(ares_socket_t readable, ares_socket_t writable) {
  if (channel_ == nullptr || answer_) {
    return;
  }
  if (Clock::now() >= deadline_) {
    ::ares_cancel(channel_);  // answers with ARES_ECANCELLED
  } else {
    ::ares_process_fd(channel_, readable, writable);
  }
  watch();
  arm();
}

void Question::arm() {
  if (answer_) {
    return;
  }
  const auto rest = std::chrono::duration_cast<std::chrono::microseconds>(deadline_ - Clock::now());
  timeval limit{};
  limit.tv_sec = std::max<std::int64_t>(0, rest.count()) / 1'000'000;
  limit.tv_usec = std::max<std::int64_t>(0, rest.count()) % 1'000'000;
  timeval room{};
  const timeval* next = ::ares_timeout(channel_, &limit, &room);
  timer_.expires_after(seconds(next->tv_sec) + std::chrono::microseconds(next->tv_usec));
  timer_.async_wait([self = shared_from_this()](const error_code& error) {
    if (!error && !self->is_over()) {
      self->process(ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    }
  });
}

void Question::drop() {
  done_ = nullptr;
  end();
}

// Never from within c-ares.
void Question::end() {
  timer_.cancel();
  if (channel_ != nullptr) {
    ::ares_destroy(std::exchange(channel_, nullptr));
  }
  sockets_.clear();
}

std::string joined(const std::vector<base::Endpoint>& servers) {
  std::string out;
  for (const base::Endpoint& server : servers) {
    out += (out.empty() ? "" : ",") + server.to_string();
  }
  return out;
}

}  // namespace

struct Resolver::Impl {
  asio::io_context& io;
  std::string servers;
  std::list<std::weak_ptr<Question>> open;
};

Resolver::Resolver(asio::io_context& io, const std::vector<base::Endpoint>& servers)
    : impl_(std::make_unique<Impl>(Impl{io, joined(servers), {}})) {}

Resolver::~Resolver() {
  for (const auto& each : impl_->open) {
    if (const auto question = each.lock()) {
      question->drop();
    }
  }
}

void Resolver::look_up(const std::string& host, std::uint16_t port, Done done) {
  impl_->open.remove_if([](const auto& each) { return each.expired(); });
  const auto question = std::make_shared<Question>(impl_->io, port, std::move(done));
  impl_->open.push_back(question);
  question->ask(host, impl_->servers);
}

seconds holds_for(seconds smallest_ttl) {
  return std::clamp(smallest_ttl, kShortest, kLongest);
}

std::vector<SocketAddress> in_turns(const std::vector<SocketAddress>& addresses) {
  std::vector<SocketAddress> out(addresses);
  if (out.empty()) {
    return out;
  }
  const int family = out.front().family();
  const auto others = std::stable_partition(
      out.begin(), out.end(), [family](const auto& each) { return each.family() == family; });
  const std::vector<SocketAddress> first(out.begin(), others);
  const std::vector<SocketAddress> second(others, out.end());
  out.clear();
  for (std::size_t i = 0; i < std::max(first.size(), second.size()); ++i) {
    if (i < first.size()) {
      out.push_back(first[i]);
    }
    if (i < second.size()) {
      out.push_back(second[i]);
    }
  }
  return out;
}

}  // namespace pannier::net
