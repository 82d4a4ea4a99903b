#include "pannier/cache/leases.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <atomic>
#include <functional>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <unordered_set>
#include <vector>

using namespace std::chrono_literals;
using namespace pannier::cache;
using pannier::base::TimePoint;

namespace {

// What the workers share.
struct Process {
  struct Mailbox {
    std::mutex mutex;
    std::vector<Party> woken;
  };

  void post(std::vector<Party>& woken) {
    for (const Party& party : woken) {
      Mailbox& mailbox = mailboxes.at(party.worker);
      const std::scoped_lock lock(mailbox.mutex);
      mailbox.woken.push_back(party);
    }
    woken.clear();
  }

  [[nodiscard]] TimePoint time() { return TimePoint(1h) + ticks.fetch_add(1) * 50ms; }

  Leases leases;
  std::array<Mailbox, 2> mailboxes;
  std::atomic<std::int64_t> ticks{0};
};

// Does at random what a worker of the proxy does, and knows which of its reads wait.
class Worker {
 public:
  Worker(Process& process, std::uint32_t number)
      : process_(process),
        number_(number),
        random_(11 + number) {}

  void run() {
    for (int i = 0; i < 20'000; ++i) {
      step();
      process_.post(woken_);
      read_mail();
    }
  }

  void read_mail() {
    Process::Mailbox& mailbox = process_.mailboxes.at(number_);
    const std::scoped_lock lock(mailbox.mutex);
    for (const Party& party : mailbox.woken) {
      waiting_.erase(party.token);
    }
    mailbox.woken.clear();
  }

  [[nodiscard]] std::size_t waiting() const { return waiting_.size(); }

  [[nodiscard]] int waits() const { return waits_; }

 private:
  static std::string key_of(std::uint64_t token) {
    return std::string(1, static_cast<char>('a' + token % 7));
  }

  static std::uint64_t hash_of(std::uint64_t token) {
    return std::hash<std::string>()(key_of(token));
  }

  void step() {
    Leases& leases = process_.leases;
    const std::uint64_t token = ++last_token_;
    const std::uint64_t what = random_() % 16;
    if (what < 9) {
      ask(token);
    } else if (what < 11) {
      if (leases.any()) {
        leases.on_changed(hash_of(token), process_.time(), woken_);
      }
    } else if (what == 11) {
      leases.on_value(hash_of(token), process_.time(), woken_);
    } else if (what == 12) {
      leases.on_gone({number_, random_() % 20}, process_.time(), woken_);
    } else if (what == 13) {
      leases.expire(process_.time(), woken_);
    } else if (what == 14 && !waiting_.empty()) {
      const std::uint64_t mine = *waiting_.begin();
      leases.forget(hash_of(mine), {number_, mine}, process_.time());
      waiting_.erase(mine);
    } else if (random_() % 50 == 0) {
      leases.on_all_changed(process_.time(), woken_);
    }
  }

  void ask(std::uint64_t token) {
    const LeaseAnswer answer = process_.leases.on_nil(0,
                                                      key_of(token),
                                                      hash_of(token),
                                                      static_cast<std::uint16_t>(token % 7),
                                                      {number_, random_() % 20},
                                                      {number_, token},
                                                      {2s},
                                                      process_.time());
    if (answer == LeaseAnswer::Wait) {
      waiting_.insert(token);
      ++waits_;
    }
  }

  Process& process_;
  std::uint32_t number_;
  std::minstd_rand random_;
  std::unordered_set<std::uint64_t> waiting_;
  std::vector<Party> woken_;
  std::uint64_t last_token_ = 0;
  int waits_ = 0;
};

}  // namespace

TEST_CASE("leases: two threads at random lose no wake and leave nothing") {
  Process process;
  std::array<Worker, 2> workers{Worker(process, 0), Worker(process, 1)};
  std::thread other([&] { workers[1].run(); });
  workers[0].run();
  other.join();

  std::vector<Party> woken;
  process.leases.on_all_changed(process.time(), woken);
  process.post(woken);
  for (Worker& worker : workers) {
    worker.read_mail();
    CHECK(worker.waiting() == 0);
    CHECK(worker.waits() > 500);
  }
  CHECK_FALSE(process.leases.any());
  CHECK(process.leases.leases() == 0);
  CHECK(process.leases.waiters() == 0);
}
