#include "pannier_process.hpp"
#include "raw_client.hpp"
#include "redis_server.hpp"

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <deque>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

// The first property of all: replies leave in request order, and no reply is ever given to another
// request. Every value says whose it is, and every byte of every reply is compared.
namespace pannier::test {

namespace {

using namespace std::chrono_literals;

constexpr int kDatabases = 3;
constexpr int kKeys = 2000;  // in each database, never written while the test runs
constexpr int kBigKeys = 8;
constexpr std::size_t kThreads = 2;
constexpr std::size_t kSessions = 24;  // in each thread

std::string key_of(int number) {
  return "key:" + std::to_string(number);
}

// Says its database and key, at both ends.
std::string value_of(int db, const std::string& key, std::size_t length) {
  const std::string tag = std::to_string(db) + "/" + key + "|";
  std::string value = tag;
  while (value.size() < length) {
    value += tag;
  }
  return value;
}

std::string small_value(int db, int number) {
  return value_of(db, key_of(number), static_cast<std::size_t>(number) % 300);
}

std::size_t big_length(int number) {
  constexpr std::array<std::size_t, kBigKeys> kLengths{
      70 << 10, 70 << 10, 100 << 10, 100 << 10, 256 << 10, 300 << 10, 512 << 10, 1 << 20};
  return kLengths.at(static_cast<std::size_t>(number));
}

using Shared = std::shared_ptr<const std::string>;

// The bulk replies of the big keys, made once.
std::vector<std::vector<Shared>> big_replies() {
  std::vector<std::vector<Shared>> all(kDatabases);
  for (int db = 0; db < kDatabases; ++db) {
    for (int i = 0; i < kBigKeys; ++i) {
      all[static_cast<std::size_t>(db)].push_back(std::make_shared<const std::string>(
          bulk(value_of(db, "big:" + std::to_string(i), big_length(i)))));
    }
  }
  return all;
}

void load(const RedisServer& server) {
  RawClient client(server.port());
  for (int db = 0; db < kDatabases; ++db) {
    client.ask({"SELECT", std::to_string(db)});
    for (int i = 0; i < kKeys; ++i) {
      client.ask({"SET", key_of(i), small_value(db, i)});
    }
    for (int i = 0; i < kBigKeys; ++i) {
      const std::string key = "big:" + std::to_string(i);
      client.ask({"SET", key, value_of(db, key, big_length(i))});
    }
    REQUIRE(client.read(1 + kKeys + kBigKeys).find('-') == std::string::npos);
  }
  REQUIRE(client.call({"WAIT", "1", "20000"}) == ":1\r\n");  // the replica has it all
}

struct Plan {
  std::vector<int> ports;
  std::vector<std::vector<Shared>> big;
  std::atomic<long> left;  // replies that are still to be checked
};

// What the bytes of one reply must be.
struct Expected {
  Shared bytes;
  std::string asked;
};

// One connection: makes requests at random and compares what comes.
class Asker {
 public:
  Asker(Plan& plan, unsigned number) : plan_(plan), number_(number), random_(number * 7919 + 1) {
    connect();
  }

  ~Asker() { ::close(descriptor_); }

  Asker(const Asker&) = delete;
  Asker& operator=(const Asker&) = delete;

  [[nodiscard]] bool is_idle() const { return expected_.empty() && output_.empty(); }

  [[nodiscard]] pollfd wish() const {
    const int events = POLLIN | (output_.empty() ? 0 : POLLOUT);
    return {descriptor_, static_cast<short>(events), 0};
  }

  // A new pipeline; now and then only half of it, and then the client is gone.
  void ask() {
    const int depth = any(1, any(1, 250));
    for (int i = 0; i < depth; ++i) {
      add_request();
    }
    if (any(0, 20) == 0) {
      output_.resize(static_cast<std::size_t>(any(0, static_cast<int>(output_.size()))));
      leaving_ = true;
    }
  }

  void work(short events) {
    if ((events & POLLOUT) != 0) {
      write();
    }
    if (leaving_ && output_.empty() && (any(0, 1) == 0 || expected_.size() < 10)) {
      leave();
      return;
    }
    if ((events & (POLLIN | POLLHUP | POLLERR)) != 0) {
      read();
    }
    if (leaving_ && any(0, 3) == 0) {
      leave();
    }
  }

 private:
  int any(int from, int to) { return std::uniform_int_distribution<int>(from, to)(random_); }

  void connect() {
    RawClient client(plan_.ports[static_cast<std::size_t>(any(0, 1))]);
    resp3_ = any(0, 1) == 1;
    db_ = any(0, kDatabases - 1);
    if (resp3_ && !client.call({"HELLO", "3"}).starts_with('%')) {
      throw std::runtime_error("HELLO 3 is refused");
    }
    if (client.call({"SELECT", std::to_string(db_)}) != "+OK\r\n") {
      throw std::runtime_error("SELECT is refused");
    }
    descriptor_ = client.release();
    ::fcntl(descriptor_, F_SETFL, O_NONBLOCK);
    ++life_;
  }

  void leave() {
    if (any(0, 1) == 0) {
      const linger now{1, 0};
      ::setsockopt(descriptor_, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    }
    ::close(descriptor_);
    output_.clear();
    expected_.clear();
    at_ = 0;
    leaving_ = false;
    connect();
  }

  void add(const Words& words, std::string reply) {
    add(words, std::make_shared<const std::string>(std::move(reply)));
  }

  void add(const Words& words, Shared reply) {
    output_ += request(words);
    std::string asked(words[0]);
    asked += words.size() > 1 ? " " + std::string(words[1].substr(0, 60)) : std::string{};
    expected_.push_back({std::move(reply), std::move(asked)});
  }

  [[nodiscard]] std::string nil() const { return resp3_ ? "_\r\n" : "$-1\r\n"; }

  // Names that no other life of any session uses.
  std::string own(int number) const {
    return "own:" + std::to_string(number_) + ":" + std::to_string(life_) + ":" +
           std::to_string(number);
  }

  void add_request();
  void add_get();
  void add_big();
  void add_mget();
  void add_transaction();
  void add_own_write();
  void add_script();
  void write();
  void read();
  void compare(std::string_view bytes);

  Plan& plan_;
  unsigned number_;
  std::minstd_rand random_;
  int descriptor_ = -1;
  int life_ = 0;
  int db_ = 0;
  bool resp3_ = false;
  bool leaving_ = false;
  std::string output_;
  std::deque<Expected> expected_;
  std::size_t at_ = 0;  // in the first one
};

void Asker::add_get() {
  const int number = any(0, kKeys + 20);
  add({"GET", key_of(number)}, number < kKeys ? bulk(small_value(db_, number)) : nil());
}

void Asker::add_big() {
  const int number = any(0, kBigKeys - 1);
  if (any(0, 3) > 0) {
    add({"GET", "big:" + std::to_string(number)},
        plan_.big[static_cast<std::size_t>(db_)][static_cast<std::size_t>(number)]);
    return;
  }
  const std::string key = own(100 + number);
  const std::string value = value_of(db_, key, big_length(any(0, 4)));
  add({"SET", key, value, "EX", "60"}, "+OK\r\n");
  add({"GET", key}, bulk(value));
  add({"DEL", key}, ":1\r\n");
}

void Asker::add_mget() {
  const int count = any(1, 12);
  std::vector<std::string> keys;
  std::string reply = "*" + std::to_string(count) + "\r\n";
  for (int i = 0; i < count; ++i) {
    const int number = any(0, kKeys + 20);
    keys.push_back(key_of(number));
    reply += number < kKeys ? bulk(small_value(db_, number)) : nil();
  }
  Words words{"MGET"};
  words.insert(words.end(), keys.begin(), keys.end());
  add(words, std::move(reply));
}

void Asker::add_transaction() {
  const int number = any(0, kKeys - 1);
  const std::string key = own(any(0, 9));
  const std::string value = value_of(db_, key, 50);
  add({"MULTI"}, "+OK\r\n");
  add({"GET", key_of(number)}, "+QUEUED\r\n");
  add({"SET", key, value}, "+QUEUED\r\n");
  add({"GET", key}, "+QUEUED\r\n");
  add({"EXEC"}, "*3\r\n" + bulk(small_value(db_, number)) + "+OK\r\n" + bulk(value));
}

void Asker::add_own_write() {
  const std::string key = own(any(0, 9));
  const std::string value = value_of(db_, key + "=" + std::to_string(any(0, 1 << 30)), 40);
  add({"SET", key, value, "EX", "60"}, "+OK\r\n");
  if (any(0, 1) == 0) {
    add_get();
  }
  add({"GET", key}, bulk(value));
}

void Asker::add_script() {
  const std::string payload = own(any(0, 1 << 30));
  const std::string key = key_of(any(0, kKeys - 1));
  add({"EVAL", "return {ARGV[1], redis.call('strlen', KEYS[1])}", "1", key, payload},
      "*2\r\n" + bulk(payload) + ":" +
          std::to_string(small_value(db_, std::stoi(key.substr(4))).size()) + "\r\n");
}

void Asker::add_request() {
  const int kind = any(0, 999);
  if (kind < 520) {
    add_get();
  } else if (kind < 640) {
    const std::string payload = own(any(0, 1 << 30));
    add({"PING", payload}, bulk(payload));
  } else if (kind < 740) {
    const std::string payload = own(any(0, 1 << 30));
    add({"ECHO", payload}, bulk(payload));
  } else if (kind < 850) {
    add_mget();
  } else if (kind < 950) {
    add_own_write();
  } else if (kind < 957) {
    add_transaction();
  } else if (kind < 965) {
    add_script();
  } else if (kind < 969) {
    add_big();
  } else if (kind < 974) {
    add({"GET"}, "-ERR wrong number of arguments for 'get' command\r\n");
  } else {
    const std::string key = key_of(any(0, kKeys - 1));
    add({"STRLEN", key},
        ":" + std::to_string(small_value(db_, std::stoi(key.substr(4))).size()) + "\r\n");
  }
}

void Asker::write() {
  // Sometimes in pieces, so that requests arrive cut anywhere.
  const std::size_t most = any(0, 4) == 0 ? static_cast<std::size_t>(any(1, 2000)) : output_.size();
  const ssize_t n =
      ::send(descriptor_, output_.data(), std::min(most, output_.size()), MSG_NOSIGNAL);
  if (n < 0 && errno != EAGAIN) {
    throw std::runtime_error("a session was closed while it sent");
  }
  output_.erase(0, n > 0 ? static_cast<std::size_t>(n) : 0);
}

void Asker::read() {
  std::array<char, 64 * 1024> buffer;
  const ssize_t n = ::recv(descriptor_, buffer.data(), buffer.size(), 0);
  if (n > 0) {
    compare(std::string_view(buffer.data(), static_cast<std::size_t>(n)));
  } else if (n == 0 || errno != EAGAIN) {
    throw std::runtime_error("a session was closed while it waited for " +
                             (expected_.empty() ? "nothing" : expected_.front().asked));
  }
}

void Asker::compare(std::string_view bytes) {
  while (!bytes.empty()) {
    if (expected_.empty()) {
      throw std::runtime_error("a reply that nobody asked for: " + std::string(bytes));
    }
    const std::string_view wanted = std::string_view(*expected_.front().bytes).substr(at_);
    const std::size_t part = std::min(wanted.size(), bytes.size());
    if (wanted.substr(0, part) != bytes.substr(0, part)) {
      throw std::runtime_error("asked: " + expected_.front().asked +
                               "\nwanted: " + std::string(wanted.substr(0, 300)) +
                               "\ngot: " + std::string(bytes.substr(0, 300)));
    }
    bytes.remove_prefix(part);
    at_ += part;
    if (part == wanted.size()) {
      expected_.pop_front();
      at_ = 0;
      --plan_.left;
    }
  }
}

// Keeps its sessions busy until enough replies were checked, then waits for the rest of them.
void ask_much(Plan& plan, unsigned first, std::string& failure) {
  try {
    std::deque<Asker> askers;
    for (unsigned i = 0; i < kSessions; ++i) {
      askers.emplace_back(plan, first + i);
    }
    const auto deadline = std::chrono::steady_clock::now() + 150s;
    for (;;) {
      const bool more = plan.left > 0;
      std::vector<pollfd> wishes;
      for (Asker& asker : askers) {
        if (more && asker.is_idle()) {
          asker.ask();
        }
        wishes.push_back(asker.wish());
      }
      const bool idle = std::all_of(
          askers.begin(), askers.end(), [](const Asker& asker) { return asker.is_idle(); });
      if (!more && idle) {
        return;
      }
      if (::poll(wishes.data(), wishes.size(), 30'000) <= 0 ||
          std::chrono::steady_clock::now() > deadline) {
        throw std::runtime_error("no reply for too long");
      }
      for (std::size_t i = 0; i < askers.size(); ++i) {
        askers[i].work(wishes[i].revents);
      }
    }
  } catch (const std::exception& error) {
    failure = error.what();
    plan.left = 0;
  }
}

// How many replies to check: a build that is slow by its nature does fewer.
constexpr long replies_to_check() {
#ifdef NDEBUG
  return 1'000'000;
#else
  return 200'000;
#endif
}

constexpr const char* kPatient =
    "lanes: { min: 2, max: 4 }, pinned: { max: 64, wait: 20s, reserved_for_multi: 16 }, "
    "timeouts: { connect: 5s, read: 25s, write: 25s }";

}  // namespace

TEST_CASE("order: a million replies over several lanes, each the answer to its own request",
          "[proxy]") {
  const RedisServer primary;
  const RedisServer replica = RedisServer::start_replica_of(primary);
  load(primary);
  const int second_port = free_port();
  const PannierProcess pannier(
      {upstream_of({primary.address(), replica.address()}, kPatient),
       "workers: 2",
       {"{ address: \"127.0.0.1:" + std::to_string(second_port) + "\", reads: replica }"}});
  Plan plan{{pannier.port(), second_port}, big_replies(), {}};
  plan.left = replies_to_check();

  std::array<std::string, kThreads> failures;
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < kThreads; ++i) {
    threads.emplace_back([&plan, i, &failures] {
      ask_much(plan, static_cast<unsigned>(i * kSessions), failures.at(i));
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  for (const std::string& failure : failures) {
    CHECK(failure == std::string());  // NOLINT(readability-container-size-empty): shows it
  }
  CHECK(pannier.metric_sum("pannier_commands_total") >= static_cast<double>(replies_to_check()));
  CHECK(pannier.metric_sum("pannier_upstream_lanes") >= 4);
  CHECK(wait_until(
      [&] { return pannier.metric_sum("pannier_upstream_pinned", "state=\"used\"") == 0; }));
  CHECK(pannier.metric("pannier_client_connections") == 0);
  CHECK(pannier.metric_sum("pannier_client_connections_closed_total") > 100);
}

}  // namespace pannier::test
