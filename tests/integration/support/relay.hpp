#pragma once

#include <chrono>
#include <cstddef>
#include <memory>

namespace pannier::test {

// A TCP relay on 127.0.0.1, on a thread of its own, that can misbehave. "Replies" are the bytes
// from the target to whoever connected. The methods may be called from any thread.
class Relay {
 public:
  explicit Relay(int target_port);
  ~Relay();
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;

  [[nodiscard]] int port() const;

  void delay_replies(std::chrono::milliseconds delay);
  void stall_replies(bool on);  // they stay in the kernel's buffers
  void stall_requests(bool on);
  // After this many further bytes of replies, whoever gets the last one is cut off.
  void cut_after(std::size_t bytes);
  void drop_all();  // closes every connection with a reset
  // New connections are closed at once.
  void refuse(bool on);

  [[nodiscard]] std::size_t connections() const;
  [[nodiscard]] std::size_t relayed_replies() const;  // bytes

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pannier::test
