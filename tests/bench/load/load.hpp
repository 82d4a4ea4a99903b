#pragma once

#include "histogram.hpp"
#include "reply_check.hpp"
#include "workload.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

namespace pannier::bench {

using Clock = std::chrono::steady_clock;

/// The connections of a run and what goes over them: batches out, replies in and checked. One
/// thread. Any fault (a wrong reply, a lost connection, ten seconds without a reply) is thrown as
/// std::runtime_error.
///
/// As fast as replies come (begin, run_for, run_requests) each connection has one batch under way;
/// its time is from its sending to the last byte of its last reply. At a rate (pace) batches are
/// due at even distances, whatever came back, and their time counts from when they were due.
class Load {
 public:
  Load(Options options, std::string_view padding);
  ~Load();
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;

  void connect();

  /// Sends each batch once and waits for all replies.
  void play(const std::vector<Batch>& batches);

  /// From here on each connection goes round `batches`, which must live as long as this.
  void begin(const std::vector<Batch>& batches);
  void run_for(std::chrono::duration<double> time);
  /// So many more; returns when all are answered.
  void run_requests(std::uint64_t requests);
  /// REQUIRES: nothing under way.
  void pace(const std::vector<Batch>& batches, double rate, std::chrono::duration<double> time);
  void drain();

  /// Forgets times and the number of answered requests; not what was sent.
  void reset_figures();

  const Histogram& times() const { return times_; }

  std::uint64_t answered() const { return answered_; }

  const CommandCounts& sent() const { return sent_; }

 private:
  struct Sent {
    const Batch* batch;
    Clock::time_point from;
  };

  struct Connection {
    int fd = -1;
    ReplyCheck check;
    std::deque<Sent> under_way;
    std::size_t next_to_send = 0;  // of under_way
    std::size_t bytes_sent = 0;    // of that one
    bool waits_for_room = false;
  };

  void open(Connection& connection);
  void turn(int timeout_ms);
  void send(Connection& connection, const Batch& batch, Clock::time_point from);
  void flush(Connection& connection);
  void receive(Connection& connection);
  void batch_done(Connection& connection);
  const Batch* next_batch();
  void watch(Connection& connection, bool room_too);

  Options options_;
  std::string_view padding_;
  std::string buffer_;
  int epoll_ = -1;
  std::vector<Connection> connections_;
  const std::vector<Batch>* batches_ = nullptr;
  std::size_t next_ = 0;       // of batches_
  bool once_ = false;          // each batch is sent once
  bool closed_loop_ = false;   // a reply makes the next batch leave
  std::uint64_t allowed_ = 0;  // requests that may yet be sent
  std::size_t under_way_ = 0;  // batches, on all connections
  int idle_turns_ = 0;
  Histogram times_;
  std::uint64_t answered_ = 0;
  CommandCounts sent_{};
};

}  // namespace pannier::bench
