#pragma once

#include "history_checker.hpp"

#include <poll.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <random>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace pannier::test {

// The keys that all clients share, and what they ask of them. The first keys of a group are asked
// for the most. A key whose state is not known any more gives its place to a new one.
class HistoryKeys {
 public:
  struct Group {
    std::string prefix;
    // Whether MGET is used. Where replicas serve, it and GET may go to different nodes, and a node
    // is not bound to what another one has shown.
    bool many = true;
  };

  HistoryKeys(HistoryChecker& checker, std::vector<Group> groups, std::size_t per_group);

  struct Place {
    std::size_t group = 0;
    std::size_t number = 0;
  };

  [[nodiscard]] Place any(std::minstd_rand& random) const;
  [[nodiscard]] HistoryKeyPtr at(const Place& place);

  [[nodiscard]] bool many(const Place& place) const { return groups_[place.group].many; }

  [[nodiscard]] std::size_t retired() const { return retired_; }

 private:
  HistoryChecker& checker_;
  std::vector<Group> groups_;
  std::vector<std::vector<HistoryKeyPtr>> keys_;
  std::size_t retired_ = 0;
};

// One connection that reads and writes at random and has every reply judged. A lost connection is
// opened again; that it was lost is an error unless there was reason for it. Not thread-safe: all
// clients of one checker are driven by one thread.
class HistoryClient {
 public:
  struct Style {
    Place place = kFirst;
    int port = 0;
    bool pipelined = false;
    int writes = 5;                         // of 100 requests
    std::chrono::microseconds pause{2000};  // between two batches, on average
  };

  HistoryClient(HistoryChecker& checker, HistoryKeys& keys, const Style& style, unsigned seed);
  ~HistoryClient();
  HistoryClient(const HistoryClient&) = delete;
  HistoryClient& operator=(const HistoryClient&) = delete;

  using TimePoint = HistoryChecker::TimePoint;

  // When it is to be called next though nothing comes.
  [[nodiscard]] TimePoint due() const { return due_; }

  [[nodiscard]] pollfd wish() const;
  void work(short events);
  // Asks for nothing new; true once all is answered.
  [[nodiscard]] bool finish();

  [[nodiscard]] std::uint64_t errors() const { return errors_; }

 private:
  enum class Kind : std::uint8_t {
    Hello,
    Read,      // GET
    Range,     // GETRANGE of the beginning
    ReadMany,  // MGET
    Write,     // SET, SETEX, MSET
    Delete,
    Transaction,  // MULTI, SET, GET, EXEC
    Script        // that counts
  };

  struct Asked {
    Kind kind = Kind::Read;
    std::size_t frames = 1;
    std::vector<HistoryChecker::Read> reads;
    std::vector<HistoryChecker::Write> writes;
    std::vector<std::string> replies;
    TimePoint sent;
  };

  int any(int from, int to) { return std::uniform_int_distribution<int>(from, to)(random_); }

  void connect();
  // The connection is gone, or is given up.
  void disconnect(const std::string& why);
  void ask();
  void ask_to_read();
  void ask_to_write();
  void ask_script(const HistoryKeyPtr& key);
  void ask_transaction(const HistoryKeyPtr& key);
  void ask_many_writes(const HistoryKeyPtr& key);
  void push(Asked asked, const std::vector<std::string_view>& words);
  void send();
  void receive();
  void take(std::string_view frame);
  void judge(Asked& asked);
  void judge_read(const HistoryChecker::Read& read, std::string_view reply, bool whole);
  [[nodiscard]] std::size_t padding();

  [[nodiscard]] Floors& known(const HistoryKeyPtr& key) { return known_[key]; }

  HistoryChecker& checker_;
  HistoryKeys& keys_;
  Style style_;
  std::minstd_rand random_;
  int descriptor_ = -1;
  bool finishing_ = false;
  TimePoint due_;
  std::string output_;
  std::string input_;
  std::deque<Asked> asked_;
  std::unordered_map<HistoryKeyPtr, Floors> known_;  // what this connection was told
  std::uint64_t errors_ = 0;
};

}  // namespace pannier::test
