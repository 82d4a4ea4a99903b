#include "failure_load.hpp"

#include "raw_client.hpp"

#include <poll.h>

#include <algorithm>
#include <ctime>
#include <iostream>

namespace pannier::test {

namespace {

using namespace std::chrono_literals;

constexpr std::size_t kViolationsKept = 10;
constexpr auto kCalm = 300ms;

}  // namespace

FailureLoad::FailureLoad(const LoadOptions& options, const RedisServer& primary)
    : report_(Clock::now()) {
  shared_.static_keys = options.static_keys;
  shared_.record = [this](const LoadRecord& record) {
    report_.add(record);
  };
  shared_.tell_error = [this](const std::string& text) {
    report_.add_error(text);
  };
  shared_.complain = [this](const std::string& what) {
    if (violations_.size() < kViolationsKept) {
      violations_.push_back(what);
    }
  };
  for (std::size_t i = 0; i < options.readers + options.writers; ++i) {
    LoadConnection::Style style;
    style.port = options.port;
    style.writes = i >= options.readers;
    style.depth = options.depth;
    style.pause = options.pause;
    style.seed = options.seed * 1000 + static_cast<unsigned>(i);
    style.name = std::to_string(i);
    connections_.emplace_back(shared_, style);
  }
  seed(primary);
  thread_ = std::thread([this] { run(); });
}

FailureLoad::~FailureLoad() {
  stop();
}

void FailureLoad::stop() {
  stopping_ = true;
  if (thread_.joinable()) {
    thread_.join();
  }
}

void FailureLoad::run() {
  while (turn()) {
  }
}

bool FailureLoad::turn() {
  std::unique_lock lock(mutex_);
  const auto now = Clock::now();
  auto due = now + 20ms;
  std::vector<pollfd> wishes;
  bool idle = stopping_;
  for (LoadConnection& each : connections_) {
    if (stopping_) {
      idle = each.finish() && idle;
    } else if (each.in_flight() == 0) {
      due = std::min<Clock::time_point>(due, std::max(now, each.due()));
    }
    wishes.push_back(each.wish());
  }
  if (idle) {
    return false;
  }
  lock.unlock();
  const timespec limit{0, std::chrono::nanoseconds(due - now).count()};
  ::ppoll(wishes.data(), wishes.size(), &limit, nullptr);
  lock.lock();
  for (std::size_t i = 0; i < connections_.size(); ++i) {
    connections_[i].work(wishes[i].revents);
  }
  return true;
}

void FailureLoad::begin_phase() {
  const std::lock_guard lock(mutex_);
  report_ = LoadReport(Clock::now());
}

LoadReport FailureLoad::report() const {
  const std::lock_guard lock(mutex_);
  return report_;
}

LoadReport FailureLoad::show(const std::string& phase) const {
  LoadReport out = report();
  std::cout << out.text(phase) << std::flush;
  return out;
}

std::size_t FailureLoad::in_flight(Asked asked) const {
  const std::lock_guard lock(mutex_);
  std::size_t sum = 0;
  for (const LoadConnection& each : connections_) {
    sum += each.in_flight(asked);
  }
  return sum;
}

bool FailureLoad::wait_for_success(Asked asked, std::chrono::milliseconds limit) const {
  const auto start = Clock::now();
  return wait_until(
      [&] {
        const std::lock_guard lock(mutex_);
        return report_.first_success(asked, start, true).has_value();
      },
      limit);
}

bool FailureLoad::wait_for_calm(std::chrono::milliseconds limit) const {
  const auto deadline = Clock::now() + limit;
  while (Clock::now() < deadline) {
    const auto start = Clock::now();
    std::this_thread::sleep_for(kCalm);
    const std::lock_guard lock(mutex_);
    const bool waiting = std::any_of(connections_.begin(),
                                     connections_.end(),
                                     [&](const auto& each) { return each.waits_since(start); });
    if (!waiting && report_.is_calm_since(start)) {
      return true;
    }
  }
  return false;
}

std::map<std::string, std::string> FailureLoad::written_at(const RedisServer& server) const {
  std::vector<std::string> names;
  {
    const std::lock_guard lock(mutex_);
    for (std::size_t i = 0; i < shared_.ledger.size(); ++i) {
      names.push_back(shared_.ledger.name(i));
    }
  }
  RawClient direct(server.host(), server.port());
  std::map<std::string, std::string> values;
  for (const std::string& name : names) {
    const std::string frame = direct.call({"GET", name});
    if (frame.starts_with("$") && frame != "$-1\r\n") {
      values[name] = text_of(frame);
    }
  }
  return values;
}

void FailureLoad::expect_what_is_at(const RedisServer& server) {
  const auto values = written_at(server);
  const std::lock_guard lock(mutex_);
  shared_.ledger.rebase(values);
}

void FailureLoad::expect_nothing() {
  const std::lock_guard lock(mutex_);
  shared_.nil_right_until = Clock::time_point::max();
  shared_.ledger.rebase({});
}

void FailureLoad::seed(const RedisServer& server) {
  RawClient direct(server.host(), server.port());
  std::string bytes;
  std::size_t count = 0;
  const auto add = [&](const Words& words) {
    bytes += request(words);
    ++count;
  };
  {
    const std::lock_guard lock(mutex_);
    for (std::size_t i = 0; i < shared_.static_keys; ++i) {
      add({"SET", still_key(i), still_value(still_key(i))});
      add({"HSET", still_hash(i), "f", still_value(still_hash(i))});
    }
    for (std::size_t i = 0; i < shared_.ledger.size(); ++i) {
      add({"SET", shared_.ledger.name(i), shared_.ledger.first_value(i), "NX"});
    }
  }
  direct.send(bytes);
  static_cast<void>(direct.read(count));
}

void FailureLoad::expect_all() {
  const std::lock_guard lock(mutex_);
  shared_.nil_right_until = Clock::now();
}

void FailureLoad::check_data(const RedisServer& server) {
  std::vector<WriteLedger::Ticket> tickets;
  {
    const std::lock_guard lock(mutex_);
    for (std::size_t i = 0; i < shared_.ledger.size(); ++i) {
      tickets.push_back(shared_.ledger.begin_read(i));
    }
  }
  const auto values = written_at(server);
  const std::lock_guard lock(mutex_);
  for (const WriteLedger::Ticket& ticket : tickets) {
    const auto value = values.find(shared_.ledger.name(ticket.key));
    std::uint64_t seen = 0;
    const std::string why =
        value != values.end()
            ? shared_.ledger.end_read(ticket, value->second, seen)
            : (ticket.floor == 0 ? "" : shared_.ledger.name(ticket.key) + " is missing");
    if (!why.empty()) {
      shared_.complain("at the server itself: " + why);
    }
  }
}

std::string FailureLoad::waiting() const {
  const std::lock_guard lock(mutex_);
  std::string out;
  for (const LoadConnection& each : connections_) {
    if (each.waits_since(Clock::now() - 1s)) {
      out += each.waiting() + "\n";
    }
  }
  return out;
}

std::vector<std::string> FailureLoad::violations() const {
  const std::lock_guard lock(mutex_);
  return violations_;
}

std::size_t FailureLoad::connections_lost() const {
  const std::lock_guard lock(mutex_);
  std::size_t sum = 0;
  for (const LoadConnection& each : connections_) {
    sum += each.losses();
  }
  return sum;
}

std::size_t FailureLoad::acknowledged_writes() const {
  const std::lock_guard lock(mutex_);
  return shared_.ledger.acknowledged();
}

}  // namespace pannier::test
