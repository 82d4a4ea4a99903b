#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace pannier::test {

// So many connections that say what they are told to and read nothing; their receive buffers are as
// small as the kernel makes them, so that what is not read stays with the sender. Not thread-safe.
class DeafCrowd {
 public:
  DeafCrowd() = default;
  // Throws std::runtime_error when one is refused.
  DeafCrowd(int port, std::size_t count);
  ~DeafCrowd();
  DeafCrowd(const DeafCrowd&) = delete;
  DeafCrowd& operator=(const DeafCrowd&) = delete;

  [[nodiscard]] std::size_t size() const { return members_.size(); }

  // Each is to say `text`, `times` over, behind what it has to say still. `text` must live until it
  // was said.
  void tell_all(std::string_view text, std::size_t times = 1);
  void tell(std::size_t who, std::string_view text, std::size_t times = 1);
  // Says as much as is taken, until all is said or `limit` is over.
  void speak(std::chrono::milliseconds limit);
  // Those that the other side has closed; what it said before is read and forgotten.
  [[nodiscard]] std::size_t count_closed();
  // One frame from each, at most 4 KiB; what could not be read in time is empty.
  [[nodiscard]] std::vector<std::string> first_lines(std::chrono::milliseconds limit);

 private:
  struct Speech {
    std::string_view text;
    std::size_t times = 0;
  };

  struct Member {
    int descriptor = -1;
    std::vector<Speech> speeches;
    std::size_t at = 0;  // in the first one
    bool ended = false;
  };

  void say(Member& member);

  std::vector<Member> members_;
};

}  // namespace pannier::test
