#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace pannier::resp {

// Finds where replies end (RESP2 and RESP3, nested, attributes, pushes) without building a tree and
// without looking at a byte twice. Pure; one per upstream connection; not thread-safe.
//
// `scan(bytes)` is fed consecutive bytes of the stream. It stops at the end of the first frame:
// Complete with `consumed()` = bytes used of this call's input; or takes everything: NeedMore with
// `consumed() == bytes.size()`. After Complete the next call starts a new frame. An attribute
// ('|') belongs to the frame that follows it: both are one frame and `type()` is that of the reply.
// Error: the framing is in doubt (unknown type, bad number, over 128 levels deep, a streamed type,
// an announced length over 512 MiB * 2, a line over 64 KiB, a bulk without its CRLF); the
// connection must be closed; `error()` says why, and every later call returns Error.
class ReplyScanner {
 public:
  enum class Status : std::uint8_t {
    NeedMore,
    Complete,
    Error
  };

  [[nodiscard]] Status scan(std::string_view bytes);

  [[nodiscard]] std::size_t consumed() const { return consumed_; }

  // The first byte of the current or last frame, after attributes: '+', '-', ':', '$', '*', '_',
  // '#', ',', '(', '!', '=', '%', '~', '>'. 0 while unknown.
  [[nodiscard]] char type() const { return type_; }

  // A lower bound on the bytes still missing from the current frame: the rest of a bulk that is
  // being read; 0 when nothing is known.
  [[nodiscard]] std::size_t missing() const { return missing_; }

  [[nodiscard]] bool in_frame() const { return in_frame_; }

  [[nodiscard]] std::string_view error() const { return error_; }

 private:
  enum class Phase : std::uint8_t {
    Type,
    Number,     // in the number of a header
    NumberEnd,  // before its LF
    Line,       // in a simple reply
    Bulk,       // in bytes of known length
    BulkCr,
    BulkLf,
    Failed
  };

  static constexpr std::size_t kInlineDepth = 8;

  [[nodiscard]] bool read_type(char c);
  [[nodiscard]] const char* read_number(const char* p, const char* end);
  [[nodiscard]] const char* read_line(const char* p, const char* end);
  [[nodiscard]] const char* read_bulk(const char* p, const char* end);
  [[nodiscard]] bool begin_body();
  [[nodiscard]] bool enter(std::uint64_t elements);
  void end_element();
  [[nodiscard]] std::uint64_t& level(std::size_t depth);
  bool fail(std::string_view text);  // false

  // Elements that each open aggregate still misses; the top bit marks an attribute, which is no
  // element of what is around it.
  std::array<std::uint64_t, kInlineDepth> levels_{};
  std::vector<std::uint64_t> deep_levels_;
  std::string_view error_;
  std::size_t consumed_ = 0;
  std::size_t missing_ = 0;
  std::uint64_t number_ = 0;  // of the header being read; then what the bulk misses
  std::uint32_t line_length_ = 0;
  std::uint8_t depth_ = 0;
  std::uint8_t digits_ = 0;
  Phase phase_ = Phase::Type;
  char type_ = 0;
  char element_ = 0;  // type of the element being read
  bool in_frame_ = false;
  bool complete_ = false;
  bool negative_ = false;
  bool after_cr_ = false;  // the last byte of a simple line so far was CR
};

}  // namespace pannier::resp
