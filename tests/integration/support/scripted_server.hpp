#pragma once

#include "raw_client.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace pannier::test {

// A server on 127.0.0.1, on a thread of its own, that answers as a primary with a few keys would
// until the test says otherwise: which requests wait, what is answered and when, what is pushed.
// It keeps strings (GET, SET, DEL, PTTL, one space for all dbs), tells of its canary only, and so
// does what a real one cannot be made to do. The methods may be called from any thread; those that
// wait throw std::runtime_error after kLimit.
class ScriptedServer {
 public:
  static constexpr auto kLimit = std::chrono::seconds(20);

  struct Request {
    int connection = 0;  // 1, 2, ... in the order in which they were accepted
    std::vector<std::string> words;
  };

  // `resp3`: it knows HELLO. Without it, who wants to hear subscribes and is redirected to.
  explicit ScriptedServer(bool resp3 = true);
  ~ScriptedServer();
  ScriptedServer(const ScriptedServer&) = delete;
  ScriptedServer& operator=(const ScriptedServer&) = delete;

  [[nodiscard]] int port() const;

  [[nodiscard]] std::string address() const { return "127.0.0.1:" + std::to_string(port()); }

  void set(std::string_view key, std::string_view value);
  // What PTTL says of every key, instead of -1.
  void set_pttl(std::string_view reply);

  // From now on requests that begin with these words are answered so (bytes as they are).
  void say(const Words& words, std::string_view reply);
  // From now on requests that begin with these words wait, and all behind them on their
  // connection, until `answer`. Both end with `let`.
  void hold(const Words& words);
  void let(const Words& words);
  // Waits until so many requests are held; then they are named, oldest first.
  std::vector<Request> wait_for_held(std::size_t count);
  // Answers the held request at this place in that order (it then leaves it); no bytes: nothing at
  // all, and later replies follow as if it had been answered.
  void answer(std::string_view reply, std::size_t place = 0);
  // Answers all of them as it would have by itself, with what its keys are now.
  void answer_all();

  // To everybody who hears of changes.
  void invalidate(const Words& keys);
  // A push or message of "invalidate" with this payload, bytes as they are: "_\r\n".
  void push_payload(std::string_view payload);
  void push(std::string_view bytes);
  // On one connection, between replies.
  void push_to(int connection, std::string_view bytes);
  // While true, canaries are taken and nobody is told.
  void drop_canaries(bool on);
  // While true, nothing that a hearer or its canary's writer asks is answered and nothing told.
  void silence_hearers(bool on);
  // Closes connections.
  void close_hearers();
  void close(int connection);
  // New connections that want to hear of changes are closed at that request.
  void refuse_hearers(bool on);

  [[nodiscard]] std::size_t hearers() const;
  // How many requests came so far that begin with these words.
  [[nodiscard]] std::size_t count(const Words& words) const;
  [[nodiscard]] std::vector<Request> requests() const;
  void forget_requests();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pannier::test
