#pragma once

#include "load_report.hpp"
#include "write_ledger.hpp"

#include <poll.h>

#include <chrono>
#include <cstddef>
#include <deque>
#include <functional>
#include <random>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace pannier::test {

// What all connections of one load share.
struct LoadShared {
  std::size_t static_keys = 0;  // strings "still:N" and hashes "still:h:N"
  WriteLedger ledger;
  std::function<void(const LoadRecord&)> record;
  std::function<void(const std::string&)> tell_error;
  std::function<void(const std::string&)> complain;       // of what may never happen
  std::chrono::steady_clock::time_point nil_right_until;  // for requests that were sent before
};

// Keys that nobody writes: their values name them.
[[nodiscard]] std::string still_key(std::size_t number);
[[nodiscard]] std::string still_hash(std::size_t number);
[[nodiscard]] std::string still_value(const std::string& key);

// One session that asks at random, a batch at a time, and judges every reply: whose value it is,
// and how old. It is the only writer of its keys. A lost connection is opened again and counted.
// Not thread-safe.
class LoadConnection {
 public:
  using Clock = std::chrono::steady_clock;

  struct Style {
    int port = 0;
    bool writes = false;
    int depth = 16;                           // requests in a batch, at most
    std::chrono::microseconds pause{40'000};  // between two batches, on average
    unsigned seed = 0;
    std::string name;  // of its keys
  };

  LoadConnection(LoadShared& shared, Style style);
  ~LoadConnection();
  LoadConnection(const LoadConnection&) = delete;
  LoadConnection& operator=(const LoadConnection&) = delete;

  [[nodiscard]] Clock::time_point due() const { return due_; }

  [[nodiscard]] pollfd wish() const;
  void work(short events);
  // Asks for nothing new; true once all is answered.
  [[nodiscard]] bool finish();

  [[nodiscard]] std::size_t in_flight() const { return pending_.size(); }

  [[nodiscard]] std::size_t in_flight(Asked asked) const;

  // The oldest request under way, as text.
  [[nodiscard]] std::string waiting() const;

  // Whether something is under way that was sent before.
  [[nodiscard]] bool waits_since(Clock::time_point before) const {
    return !pending_.empty() && pending_.front().sent < before;
  }

  [[nodiscard]] std::size_t losses() const { return losses_; }

 private:
  enum class Form : std::uint8_t {
    Get,
    ManyGet,
    HashGet,
    FreshGet,
    Set,
    Add,
    Echo
  };

  struct Pending {
    Form form = Form::Get;
    Asked asked = Asked::Read;
    Clock::time_point sent;
    WriteLedger::Ticket ticket;
    std::vector<std::string> keys;  // or the text of ECHO
  };

  struct Shown {
    unsigned epoch = 0;
    std::uint64_t number = 0;
  };

  int any(int from, int to) { return std::uniform_int_distribution<int>(from, to)(random_); }

  void connect();
  void disconnect(const std::string& why);
  void ask_batch();
  void ask_still(Asked asked);
  void ask_fresh();
  void ask_write();
  void push(Pending pending, const std::vector<std::string_view>& words);
  void send();
  void receive();
  void take(std::string_view frame);
  [[nodiscard]] Answer judge(const Pending& pending, std::string_view frame);
  [[nodiscard]] Answer judge_error(const Pending& pending, std::string_view frame);
  [[nodiscard]] Answer judge_still(const Pending& pending,
                                   const std::string& key,
                                   std::string_view frame);
  [[nodiscard]] Answer judge_fresh(const Pending& pending, std::string_view frame);
  void complain(const std::string& what);

  LoadShared& shared_;
  Style style_;
  std::minstd_rand random_;
  WriteLedger::KeyId text_ = 0;
  WriteLedger::KeyId counter_ = 0;
  int descriptor_ = -1;
  bool finishing_ = false;
  Clock::time_point due_;
  std::string output_;
  std::string input_;
  std::deque<Pending> pending_;
  std::unordered_map<WriteLedger::KeyId, Shown> shown_;
  std::size_t echoes_ = 0;
  std::size_t losses_ = 0;
};

}  // namespace pannier::test
