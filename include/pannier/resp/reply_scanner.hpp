#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace pannier::resp {

// Finds where replies end (RESP2 and RESP3, nested, attributes, pushes) without building a tree and
// without looking at a byte twice. Pure; one per upstream connection; not thread-safe.
//
// `scan(bytes)` is fed consecutive bytes of the stream. It stops at the end of the first frame:
// Complete with `consumed()` = bytes used of this call's input; or takes everything: NeedMore with
// `consumed() == bytes.size()`. After Complete the next call starts a new frame. An attribute
// ('|') belongs to the frame that follows it: both are one frame and `type()` is that of the reply.
// Error: the framing is in doubt (unknown type, bad number, too deep, a streamed type, an announced
// length over 512 MiB * 2); the connection must be closed; `error()` says why.
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
  [[nodiscard]] bool in_frame() const;
  [[nodiscard]] std::string_view error() const { return error_; }
};

}  // namespace pannier::resp
