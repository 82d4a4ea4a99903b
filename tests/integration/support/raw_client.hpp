#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace pannier::test {

using Words = std::vector<std::string_view>;

// One request as clients send it.
[[nodiscard]] std::string request(const Words& words);
[[nodiscard]] std::string bulk(std::string_view text);

// Where the frame that `bytes` begins with ends; 0 when it is not whole. Written without Pannier's
// scanner, so that both cannot be wrong in the same way.
[[nodiscard]] std::size_t frame_end(std::string_view bytes);

// The first bulk string in a frame, without its header: the text of a bulk reply.
[[nodiscard]] std::string text_of(std::string_view frame);

// A blocking RESP connection with time-outs that sends and shows bytes as they are. Whatever does
// not come in time throws std::runtime_error. Not thread-safe.
class RawClient {
 public:
  static constexpr auto kLimit = std::chrono::seconds(20);

  explicit RawClient(int port, std::chrono::milliseconds limit = kLimit);
  RawClient(const std::string& host, int port);  // an IPv4 address
  explicit RawClient(const std::string& unix_path);
  ~RawClient();
  RawClient(RawClient&& other) noexcept;
  RawClient& operator=(RawClient&& other) noexcept;
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  void send(std::string_view bytes);

  void ask(const Words& words) { send(request(words)); }

  // Exactly one frame; attributes and pushes count as frames of their own.
  [[nodiscard]] std::string read();
  [[nodiscard]] std::string read(std::size_t frames);  // so many, one behind the other
  [[nodiscard]] std::string read_line();               // with its CRLF
  // Takes `count` bytes, piece by piece.
  void read_bytes(std::size_t count, const std::function<void(std::string_view)>& take);

  [[nodiscard]] std::string call(const Words& words);
  // The integer of a `:n` reply; throws for anything else.
  [[nodiscard]] long long call_integer(const Words& words);

  // Whether a byte comes within this time; false too when the other side ends.
  [[nodiscard]] bool has_input(std::chrono::milliseconds within);
  // Reads on until the other side has closed; what came is returned. Throws if it stays open.
  std::string read_to_end();

  void set_limit(std::chrono::milliseconds limit);
  void finish() const;  // sends no more (FIN), still reads
  void close();         // FIN
  void reset();         // RST: SO_LINGER 0

  [[nodiscard]] bool is_open() const { return descriptor_ >= 0; }

  [[nodiscard]] int descriptor() const { return descriptor_; }

  // The descriptor is the caller's from now on.
  [[nodiscard]] int release();

 private:
  [[nodiscard]] bool fill();  // false at the end

  [[nodiscard]] std::string_view input() const { return std::string_view(input_).substr(start_); }

  std::string take(std::size_t count);

  int descriptor_ = -1;
  std::string input_;
  std::size_t start_ = 0;  // what comes before was taken
};

// Polls until it is true; false after `limit`.
[[nodiscard]] bool wait_until(const std::function<bool()>& condition,
                              std::chrono::milliseconds limit = std::chrono::seconds(10));

}  // namespace pannier::test
