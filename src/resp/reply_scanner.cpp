#include "pannier/resp/reply_scanner.hpp"

#include "header.hpp"

#include <algorithm>
#include <cstring>

namespace pannier::resp {
namespace {

constexpr std::uint8_t kMaxDepth = 128;
constexpr std::uint32_t kMaxLine = 64 * 1024;
constexpr std::uint64_t kMaxBulk = 2ULL * 512 * 1024 * 1024;
constexpr std::uint64_t kMaxElements = 1ULL << 32;
constexpr std::uint8_t kMaxDigits = 10;  // of 4294967296
constexpr std::uint64_t kAttribute = 1ULL << 63;

constexpr std::size_t kShortLine = 64;

constexpr bool is_bulk(char type) {
  return type == '$' || type == '!' || type == '=';
}

// The hot path: a whole bulk string, its null, or a short line. Its size; 0 for anything else,
// which is then read step by step.
std::size_t whole_reply(std::string_view bytes) {
  const char* const begin = bytes.data();
  const char* const end = begin + bytes.size();
  switch (*begin) {
    case '$': {
      std::size_t length = 0;
      const char* const body = read_header(begin, end, '$', length);
      if (body == nullptr) {
        return bytes.starts_with("$-1\r\n") ? 5 : 0;
      }
      const bool whole = static_cast<std::size_t>(end - body) >= length + 2 &&
                         body[length] == '\r' && body[length + 1] == '\n';
      return whole ? static_cast<std::size_t>(body - begin) + length + 2 : 0;
    }
    case '+':
    case '-':
    case ':': {
      const std::size_t most = std::min(bytes.size(), kShortLine);
      const auto* cr = static_cast<const char*>(std::memchr(begin, '\r', most));
      const bool whole = cr != nullptr && cr + 1 != end && cr[1] == '\n';
      return whole ? static_cast<std::size_t>(cr - begin) + 2 : 0;
    }
    default:
      return 0;
  }
}

}  // namespace

ReplyScanner::Status ReplyScanner::scan(std::string_view bytes) {
  if (!in_frame_ && phase_ == Phase::Type && !bytes.empty()) {
    if (const std::size_t size = whole_reply(bytes); size != 0) {
      type_ = bytes[0];
      consumed_ = size;
      missing_ = 0;
      return Status::Complete;
    }
  }
  const char* p = bytes.data();
  const char* const end = p + bytes.size();
  complete_ = false;
  while (p != end && !complete_ && phase_ != Phase::Failed) {
    switch (phase_) {
      case Phase::Type:
        if (read_type(*p)) {
          ++p;
        }
        break;
      case Phase::Number:
      case Phase::NumberEnd:
        p = read_number(p, end);
        break;
      case Phase::Line:
        p = read_line(p, end);
        break;
      default:
        p = read_bulk(p, end);
        break;
    }
  }
  consumed_ = static_cast<std::size_t>(p - bytes.data());
  if (phase_ == Phase::Failed) {
    return Status::Error;
  }
  missing_ = phase_ == Phase::Bulk ? number_ + 2 : 0;
  return complete_ ? Status::Complete : Status::NeedMore;
}

bool ReplyScanner::read_type(char c) {
  if (!in_frame_) {
    in_frame_ = true;
    type_ = 0;
  }
  switch (c) {
    case '+':
    case '-':
    case ':':
    case '_':
    case '#':
    case ',':
    case '(':
      line_length_ = 0;
      after_cr_ = false;
      phase_ = Phase::Line;
      break;
    case '$':
    case '!':
    case '=':
    case '*':
    case '%':
    case '~':
    case '>':
    case '|':
      number_ = 0;
      digits_ = 0;
      negative_ = false;
      phase_ = Phase::Number;
      break;
    default:
      return fail("unknown reply type");
  }
  if (depth_ == 0 && c != '|') {
    type_ = c;
  }
  element_ = c;
  return true;
}

const char* ReplyScanner::read_number(const char* p, const char* end) {
  for (; p != end && phase_ == Phase::Number; ++p) {
    const unsigned digit = static_cast<unsigned char>(*p) - unsigned{'0'};
    if (digit <= 9) {
      // Leading zeros and "-0" are nothing a server sends.
      if (digits_ == kMaxDigits || (digits_ != 0 && number_ == 0)) {
        fail("bad length in a reply");
        return p;
      }
      number_ = number_ * 10 + digit;
      ++digits_;
    } else if (*p == '\r' && digits_ != 0) {
      phase_ = Phase::NumberEnd;
    } else if (*p == '-' && digits_ == 0 && !negative_) {
      negative_ = true;
    } else {
      fail(*p == '?' && digits_ == 0 ? "streamed replies are not supported"
                                     : "bad length in a reply");
      return p;
    }
  }
  if (p == end) {
    return p;
  }
  if (*p != '\n') {
    fail("bad line end in a reply");
    return p;
  }
  return begin_body() ? p + 1 : p;
}

bool ReplyScanner::begin_body() {
  if (negative_) {
    // RESP2's nulls; nothing else is negative.
    if (number_ != 1 || (element_ != '$' && element_ != '*')) {
      return fail("bad length in a reply");
    }
    end_element();
    return true;
  }
  if (is_bulk(element_)) {
    phase_ = Phase::Bulk;
    return number_ <= kMaxBulk || fail("a reply of more than 1 GiB");
  }
  if (number_ > kMaxElements) {
    return fail("a reply of more than 4294967296 elements");
  }
  const bool pairs = element_ == '%' || element_ == '|';
  return enter(pairs ? 2 * number_ : number_);
}

// Opens the aggregate whose header ended.
bool ReplyScanner::enter(std::uint64_t elements) {
  const bool attribute = element_ == '|';
  phase_ = Phase::Type;
  if (elements == 0) {
    if (!attribute) {
      end_element();
    }
    return true;
  }
  if (depth_ == kMaxDepth) {
    return fail("a reply of more than 128 levels");
  }
  if (depth_ >= kInlineDepth) {
    deep_levels_.resize(depth_ - kInlineDepth + 1);
  }
  level(depth_++) = elements | (attribute ? kAttribute : 0);
  return true;
}

// An element, that is not an attribute, is complete; and what it completes.
void ReplyScanner::end_element() {
  phase_ = Phase::Type;
  while (depth_ != 0) {
    std::uint64_t& left = level(depth_ - 1);
    --left;
    if ((left & ~kAttribute) != 0) {
      return;
    }
    const bool attribute = (left & kAttribute) != 0;
    --depth_;
    if (attribute) {
      return;
    }
  }
  in_frame_ = false;
  complete_ = true;
  if (deep_levels_.capacity() != 0) {
    std::vector<std::uint64_t>().swap(deep_levels_);
  }
}

std::uint64_t& ReplyScanner::level(std::size_t depth) {
  return depth < kInlineDepth ? levels_[depth] : deep_levels_[depth - kInlineDepth];
}

// A line ends at CRLF; CR or LF alone is part of it.
const char* ReplyScanner::read_line(const char* p, const char* end) {
  while (p != end) {
    if (after_cr_ && *p == '\n') {
      end_element();
      return p + 1;
    }
    const auto left =
        std::min(static_cast<std::size_t>(end - p), std::size_t{kMaxLine + 1 - line_length_});
    const auto* cr = static_cast<const char*>(std::memchr(p, '\r', left));
    after_cr_ = cr != nullptr;
    const char* const next = after_cr_ ? cr + 1 : p + left;
    line_length_ += static_cast<std::uint32_t>(next - p);
    p = next;
    if (line_length_ > kMaxLine) {
      fail("a line of more than 64 KiB in a reply");
      return p;
    }
  }
  return p;
}

const char* ReplyScanner::read_bulk(const char* p, const char* end) {
  if (phase_ == Phase::Bulk) {
    const auto taken = std::min<std::uint64_t>(number_, static_cast<std::uint64_t>(end - p));
    p += taken;
    number_ -= taken;
    if (number_ != 0 || p == end) {
      return p;
    }
    phase_ = Phase::BulkCr;
  }
  if (phase_ == Phase::BulkCr) {
    if (*p != '\r') {
      fail("a bulk in a reply does not end where it said");
      return p;
    }
    phase_ = Phase::BulkLf;
    if (++p == end) {
      return p;
    }
  }
  if (*p != '\n') {
    fail("a bulk in a reply does not end where it said");
    return p;
  }
  end_element();
  return p + 1;
}

bool ReplyScanner::fail(std::string_view text) {
  error_ = text;
  missing_ = 0;
  phase_ = Phase::Failed;
  return false;
}

}  // namespace pannier::resp
