#pragma once

#include "pannier/resp/protocol.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pannier::resp {

class RequestBatch;

// One complete request: views into the input that was parsed, valid until that input moves.
struct Request {
  std::span<const std::string_view> arguments;  // never empty
  std::string_view frame;                       // its bytes as they came; see `is_inline`
  // `frame` is not an array as it should be: an inline line, or one with line ends that only Redis
  // takes (it skips two bytes, whatever they are). Re-encode it with append_request.
  bool is_inline = false;
};

// Finds requests (RESP arrays and inline commands) in a session's input. Pure: no sockets, no
// clock. Owned by one session; not thread-safe. Holds no memory between requests unless one is half
// there, so an idle session costs sizeof(RequestParser) only. Sessions call `parse_batch`
// (request_batch.hpp); `parse` takes one request at a time and keeps its arguments in the parser
// until it is called with an empty input.
//
// Accepts and refuses what redis-server 7.0 does, with its texts. Two differences: a line limit
// counts bytes of the line, however they arrive; and a NUL is a byte like others, where Redis waits
// for a line end that it will not see.
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

  explicit RequestParser(const Limits& limits);  // which must outlive it
  ~RequestParser();
  RequestParser(const RequestParser&) = delete;
  RequestParser& operator=(const RequestParser&) = delete;
  RequestParser(RequestParser&&) noexcept;
  RequestParser& operator=(RequestParser&&) noexcept;

  [[nodiscard]] Status parse(std::string_view input);

  [[nodiscard]] const Request& request() const { return request_; }

  [[nodiscard]] std::size_t consumed() const { return consumed_; }

  // What Redis says before it closes: "ERR Protocol error: ..." without '-' and CRLF. Empty when
  // Redis closes without a word: a command named POST or Host:, inline or not, which is HTTP sent
  // at us by a browser.
  [[nodiscard]] std::string_view error() const { return error_; }

  // REQUIRES: the last status was Large. Arguments that were complete when the size became known
  // (at least the command name unless it is itself over the limit), as views into that input, and
  // how many the request announces.
  [[nodiscard]] std::span<const std::string_view> head() const { return request_.arguments; }

  [[nodiscard]] std::size_t announced_arguments() const { return announced_; }

  // REQUIRES: as head(). The size of the argument that is under way, and of the request up to its
  // end.
  [[nodiscard]] std::size_t unfinished() const { return bulk_ - 2; }

  [[nodiscard]] std::size_t announced_bytes() const { return position_ + bulk_; }

  // REQUIRES: the last status was Large or `stream` returned NeedMore. `bytes` are those after the
  // ones already streamed; the first call passes the input from the request's first byte again.
  // Tells in `consumed()` how many belong to this request; Complete when it ends there.
  [[nodiscard]] Status stream(std::string_view bytes);

  // Forgets a half-parsed request.
  void reset();

 private:
  friend Status parse_batch(RequestParser& parser, std::string_view input, RequestBatch& batch);

  enum class Phase : std::uint8_t {
    Start,
    Inline,
    Count,         // in "*n"
    Header,        // in "$n"
    Bulk,          // in an argument
    StreamHeader,  // these three: as above, of a Large request
    StreamEnd,     // before the LF of "$n"
    StreamBulk,
    Failed
  };

  // Where an argument is, counted from the request's first byte: the input may move.
  struct Piece {
    std::uint32_t offset;
    std::uint32_t size;
  };

  [[nodiscard]] Status next(std::string_view input, RequestBatch& batch);
  [[nodiscard]] Status parse_inline(std::string_view input, RequestBatch& batch);
  [[nodiscard]] Status parse_array(std::string_view input, RequestBatch& batch);
  [[nodiscard]] Status parse_count(std::string_view input);
  [[nodiscard]] Status parse_header(std::string_view input);
  [[nodiscard]] Status find_line_end(std::string_view input, std::string_view too_big);
  [[nodiscard]] Status finish(std::string_view input, std::size_t first, RequestBatch& batch);
  [[nodiscard]] Status hand_over(std::string_view input, RequestBatch& batch);
  [[nodiscard]] Status stream_header(char c);
  [[nodiscard]] Status fail(std::string_view text);
  void materialize(std::string_view input, RequestBatch& batch);

  const Limits* limits_;
  Request request_;
  std::string_view error_;
  std::size_t consumed_ = 0;
  std::unique_ptr<RequestBatch> own_;  // parse() only
  std::vector<Piece> pieces_;          // arguments of a half request that are complete
  std::size_t position_ = 0;           // everything before it is understood
  std::size_t scanned_ = 0;            // no line end between position_ and here
  std::size_t bulk_ = 0;               // the current argument's length
  std::uint32_t announced_ = 0;
  std::uint32_t arguments_left_ = 0;  // streaming: after the current one
  std::uint32_t line_length_ = 0;     // streaming: bytes of the current header line
  Phase phase_ = Phase::Start;
  bool sloppy_ = false;  // a line end that is not CRLF
  bool broken_ = false;  // streaming: the current header's number is none
  char first_ = 0;       // streaming: the current header's first byte
};

static_assert(sizeof(RequestParser) <= 160, "there is one per idle session");

// Appends the request as a RESP array.
void append_request(std::string& out, std::span<const std::string_view> arguments);

}  // namespace pannier::resp
