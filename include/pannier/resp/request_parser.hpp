#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pannier/resp/protocol.hpp"

namespace pannier::resp {

// One complete request: views into the input that was parsed, valid until that input moves.
struct Request {
  std::span<const std::string_view> arguments;  // never empty
  std::string_view frame;                       // its bytes as they came; see `is_inline`
  bool is_inline = false;  // `frame` is an inline line: re-encode it with append_request
};

// Finds requests (RESP arrays and inline commands) in a session's input. Pure: no sockets, no
// clock. Owned by one session; not thread-safe. Holds no memory between requests unless one is half
// there, so an idle session costs sizeof(RequestParser) only.
//
// Contract: `parse(input)` looks at the session's unconsumed bytes, from the first byte of the
// current request. After NeedMore the caller appends bytes and calls again with the same start (the
// address may change); bytes seen before are not scanned again. After Complete the caller drops
// `consumed()` bytes before the next call. After Error the session is answered `error()` and
// closed. After Large the caller takes over the bytes with `stream`.
class RequestParser {
 public:
  enum class Status : std::uint8_t {
    NeedMore,
    Complete,  // `request()` and `consumed()` are valid
    Empty,     // an empty line or "*0": nothing to answer; `consumed()` is valid
    Large,     // over limits.large_request: `head()` has the arguments that are complete
    Error      // the protocol is broken: `error()`
  };

  explicit RequestParser(const Limits& limits) : limits_(&limits) {}

  [[nodiscard]] Status parse(std::string_view input);

  [[nodiscard]] const Request& request() const { return request_; }
  [[nodiscard]] std::size_t consumed() const { return consumed_; }
  // What Redis says before it closes: "ERR Protocol error: ..." without '-' and CRLF. Empty when
  // Redis closes without a word (inline POST or Host:).
  [[nodiscard]] std::string_view error() const { return error_; }

  // REQUIRES: the last status was Large. Arguments that were complete when the size became known
  // (at least the command name unless it is itself over the limit), as views into that input, and
  // how many the request announces.
  [[nodiscard]] std::span<const std::string_view> head() const { return request_.arguments; }
  [[nodiscard]] std::size_t announced_arguments() const { return announced_; }
  // REQUIRES: the last status was Large or `stream` returned NeedMore. `bytes` are those after the
  // ones already streamed; the first call passes the input from the request's first byte again.
  // Tells in `consumed()` how many belong to this request; Complete when it ends there.
  [[nodiscard]] Status stream(std::string_view bytes);

  // Forgets a half-parsed request.
  void reset();
};

// Appends the request as a RESP array.
void append_request(std::string& out, std::span<const std::string_view> arguments);

}  // namespace pannier::resp
