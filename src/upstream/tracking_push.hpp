#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace pannier::upstream {

// One push of a node, or one message to a RESP2 subscriber, read key by key. It keeps positions and
// no view, so that a long push may be moved between two calls. Pure. REQUIRES: the frame is one
// whole frame, as a reply scanner cut it.
class PushReader {
 public:
  enum class Kind : std::uint8_t {
    Keys,            // `next` has them, that of the canary among them
    Flush,           // everything may have changed
    Canary,          // a message on the canary's channel: `payload` is its value
    Ignored,         // of no kind that is known here
    RedirectBroken,  // whom this connection redirects its pushes to is gone
    Malformed
  };

  explicit PushReader(std::string_view frame);

  [[nodiscard]] Kind kind() const { return kind_; }

  // The next key; nothing at the end, and when the frame turns out to be malformed.
  [[nodiscard]] std::optional<std::string_view> next(std::string_view frame);

  [[nodiscard]] bool at_end() const { return kind_ != Kind::Keys || left_ == 0; }

  // REQUIRES: Canary.
  [[nodiscard]] std::string_view payload(std::string_view frame) const;

 private:
  struct Element;

  [[nodiscard]] bool read(std::string_view frame, Element& out);
  [[nodiscard]] Kind classify(std::string_view frame);
  [[nodiscard]] Kind classify_message(std::string_view frame);
  [[nodiscard]] Kind begin_keys(std::string_view frame, bool one_may_be_bare);

  std::size_t at_ = 0;    // of the next byte to read
  std::size_t left_ = 0;  // keys
  Kind kind_ = Kind::Malformed;
};

}  // namespace pannier::upstream
