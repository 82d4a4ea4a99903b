#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>

namespace pannier::test {

// A TCP relay on 127.0.0.1, on a thread of its own, that can misbehave. "Replies" are the bytes
// from the target to whoever connected. The methods may be called from any thread; what they ask
// for is in force when they return. What was passed on to the kernel before is not called back.
class Relay {
 public:
  // What becomes of a connection behind its last byte.
  enum class Ending {
    Reset,    // RST to both sides
    Close,    // FIN to both sides
    Silence,  // it stays open, and never passes on anything again in either direction
  };

  enum class Side {
    Requests,
    Replies
  };

  explicit Relay(int target_port);
  ~Relay();
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;

  [[nodiscard]] int port() const;

  // The faults below concern only connections whose number (1, 2, ... in the order in which they
  // were accepted) is chosen; at first, and without a choice, all.
  void choose(std::function<bool(std::size_t number)> choice);

  void delay_replies(std::chrono::milliseconds delay);
  void delay_requests(std::chrono::milliseconds delay);
  void stall_replies(bool on);  // they stay in the kernel's buffers
  void stall_requests(bool on);
  // Nothing passes in either direction, and nobody is accepted. As with TCP over a network that
  // loses every packet, what was sent meanwhile arrives when it is over.
  void partition(bool on);
  // After this many further bytes of replies, whoever gets the last one is cut off.
  void cut_after(std::size_t bytes, Ending ending = Ending::Reset);
  // Every connection ends so. "Silence": for those that are open, for ever.
  void end_all(Ending ending);

  void drop_all() { end_all(Ending::Reset); }

  // What was received is passed on, then this side hears the end (FIN): the target that no more
  // requests come, or whoever connected that no more replies do. The other direction goes on.
  void half_close(Side side);
  // New connections are closed at once.
  void refuse(bool on);

  [[nodiscard]] std::size_t connections() const;
  [[nodiscard]] std::size_t accepted() const;         // so far; also the newest one's number
  [[nodiscard]] std::size_t relayed_replies() const;  // bytes

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pannier::test
