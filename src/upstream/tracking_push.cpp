#include "tracking_push.hpp"

#include "pannier/base/bytes.hpp"
#include "pannier/upstream/tracking.hpp"

namespace pannier::upstream {
namespace {

constexpr std::string_view kRedirected = "__redis__:invalidate";

}  // namespace

// A header with what belongs to it: the text of a string; of an array only its size.
struct PushReader::Element {
  char type = 0;
  std::int64_t number = 0;  // bytes or elements
  std::string_view text;

  [[nodiscard]] bool is_text() const { return type == '$' && number >= 0; }

  // Each version of the protocol has its own, and a server sends that of the connection that is
  // tracked, which need not be the one that hears.
  [[nodiscard]] bool is_null() const {
    return type == '_' || ((type == '$' || type == '*') && number == -1);
  }
};

PushReader::PushReader(std::string_view frame) : kind_(classify(frame)) {}

bool PushReader::read(std::string_view frame, Element& out) {
  const auto line_end = frame.find("\r\n", at_);
  if (line_end == std::string_view::npos) {
    return false;
  }
  out = {};
  out.type = frame[at_];
  const std::string_view line = frame.substr(at_ + 1, line_end - at_ - 1);
  at_ = line_end + 2;
  if (out.type == '_') {
    return true;
  }
  const auto number = base::parse_int(line);
  if (!number) {
    return false;
  }
  out.number = *number;
  if (out.is_text()) {
    const auto size = static_cast<std::size_t>(*number);
    if (frame.size() - at_ < size + 2) {
      return false;
    }
    out.text = frame.substr(at_, size);
    at_ += size + 2;
  }
  return true;
}

PushReader::Kind PushReader::classify(std::string_view frame) {
  Element head;
  Element name;
  if (!read(frame, head) || (head.type != '>' && head.type != '*') || head.number < 1) {
    return Kind::Malformed;
  }
  if (!read(frame, name) || !name.is_text()) {
    return Kind::Malformed;
  }
  if (name.text == "invalidate" && head.type == '>') {
    return head.number == 2 ? begin_keys(frame, false) : Kind::Malformed;
  }
  if (name.text == "message") {
    return head.number == 3 ? classify_message(frame) : Kind::Malformed;
  }
  return name.text == "tracking-redir-broken" ? Kind::RedirectBroken : Kind::Ignored;
}

PushReader::Kind PushReader::classify_message(std::string_view frame) {
  Element channel;
  if (!read(frame, channel) || !channel.is_text()) {
    return Kind::Malformed;
  }
  if (channel.text == kRedirected) {
    return begin_keys(frame, true);
  }
  const bool is_key = channel.text == kInvalidateChannel;
  const std::size_t start = at_;
  Element payload;
  if (!read(frame, payload) || at_ != frame.size()) {
    return Kind::Malformed;
  }
  if (channel.text == kFlushChannel) {
    return Kind::Flush;
  }
  if (!is_key && channel.text != kCanaryKey) {
    return Kind::Ignored;
  }
  at_ = start;
  left_ = is_key ? 1 : 0;
  if (!payload.is_text()) {
    return Kind::Malformed;
  }
  return is_key ? Kind::Keys : Kind::Canary;
}

PushReader::Kind PushReader::begin_keys(std::string_view frame, bool one_may_be_bare) {
  const std::size_t start = at_;
  Element payload;
  if (!read(frame, payload)) {
    return Kind::Malformed;
  }
  if (payload.is_null()) {
    return at_ == frame.size() ? Kind::Flush : Kind::Malformed;
  }
  if (payload.type == '*' && payload.number >= 0) {
    left_ = static_cast<std::size_t>(payload.number);
    return left_ > 0 || at_ == frame.size() ? Kind::Keys : Kind::Malformed;
  }
  if (one_may_be_bare && payload.is_text() && at_ == frame.size()) {
    at_ = start;
    left_ = 1;
    return Kind::Keys;
  }
  return Kind::Malformed;
}

std::optional<std::string_view> PushReader::next(std::string_view frame) {
  if (at_end()) {
    return std::nullopt;
  }
  Element key;
  --left_;
  if (!read(frame, key) || !key.is_text() || (left_ == 0 && at_ != frame.size())) {
    kind_ = Kind::Malformed;
    return std::nullopt;
  }
  return key.text;
}

std::string_view PushReader::payload(std::string_view frame) const {
  PushReader copy = *this;
  Element value;
  return copy.read(frame, value) ? value.text : std::string_view();
}

}  // namespace pannier::upstream
