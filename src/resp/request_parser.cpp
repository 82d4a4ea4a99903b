#include "pannier/resp/request_parser.hpp"

#include "pannier/base/bytes.hpp"
#include "pannier/resp/request_batch.hpp"

#include "header.hpp"
#include "inline_splitter.hpp"

#include <algorithm>
#include <array>
#include <cstring>

namespace pannier::resp {
namespace {

using Status = RequestParser::Status;

constexpr std::string_view kBadCount = "ERR Protocol error: invalid multibulk length";
constexpr std::string_view kBadLength = "ERR Protocol error: invalid bulk length";
constexpr std::string_view kBadQuotes = "ERR Protocol error: unbalanced quotes in request";
constexpr std::string_view kBigInline = "ERR Protocol error: too big inline request";
constexpr std::string_view kBigCount = "ERR Protocol error: too big mbulk count string";
constexpr std::string_view kBigLength = "ERR Protocol error: too big bulk count string";
constexpr std::string_view kNoDollar = "ERR Protocol error: expected '$', got '?'";

// "$0\r\n\r\n"
constexpr std::size_t kSmallestArgument = 6;
// Offsets of arguments are kept as 32 bits.
constexpr std::size_t kLargestFrame = 1U << 30;

// Texts that name a byte, so that error() can be a view of something that stays.
constexpr auto make_no_dollar_texts() {
  std::array<std::array<char, kNoDollar.size()>, 256> texts{};
  for (std::size_t byte = 0; byte < texts.size(); ++byte) {
    std::copy(kNoDollar.begin(), kNoDollar.end(), texts[byte].begin());
    const bool breaks_line = byte == '\r' || byte == '\n' || byte == 0;
    texts[byte][kNoDollar.size() - 2] = breaks_line ? ' ' : static_cast<char>(byte);
  }
  return texts;
}

constexpr auto kNoDollarTexts = make_no_dollar_texts();

constexpr std::string_view no_dollar(char got) {
  const auto& text = kNoDollarTexts[static_cast<unsigned char>(got)];
  return {text.data(), text.size()};
}

// Redis compares C strings, so that what follows a NUL does not matter.
bool is_http(std::string_view name) {
  if (name.size() < 4) {
    return false;
  }
  const auto is = [name](std::string_view word) {
    return name.size() >= word.size() && (name.size() == word.size() || name[word.size()] == 0) &&
           base::equals_ignoring_case(name.substr(0, word.size()), word);
  };
  return is("post") || is("host:");
}

// The hot path: a whole, small request as clients send it. Appends its arguments and returns its
// size; 0 for anything else, which the resumable parser then looks at.
std::size_t parse_whole(std::string_view input,
                        const Limits& limits,
                        std::vector<std::string_view>& arguments) {
  const char* const begin = input.data();
  const char* const end = begin + std::min(input.size(), limits.large_request);
  std::size_t count = 0;
  const char* p = read_header(begin, end, '*', count);
  if (p == nullptr || count == 0 || count > limits.max_arguments ||
      count > static_cast<std::size_t>(end - p) / kSmallestArgument) {
    return 0;
  }
  const std::size_t first = arguments.size();
  for (; count != 0; --count) {
    std::size_t length = 0;
    p = read_header(p, end, '$', length);
    if (p == nullptr || static_cast<std::size_t>(end - p) < length + 2 || p[length] != '\r' ||
        p[length + 1] != '\n' || length > limits.max_bulk) {
      arguments.resize(first);
      return 0;
    }
    arguments.emplace_back(p, length);
    p += length + 2;
  }
  if (is_http(arguments[first])) {
    arguments.resize(first);
    return 0;
  }
  return static_cast<std::size_t>(p - begin);
}

}  // namespace

RequestParser::RequestParser(const Limits& limits) : limits_(&limits) {}

RequestParser::~RequestParser() = default;
RequestParser::RequestParser(RequestParser&&) noexcept = default;
RequestParser& RequestParser::operator=(RequestParser&&) noexcept = default;

Status RequestParser::parse(std::string_view input) {
  consumed_ = 0;
  if (input.empty() && phase_ == Phase::Start) {
    own_.reset();
    return Status::NeedMore;
  }
  if (!own_) {
    own_ = std::make_unique<RequestBatch>();
  }
  own_->clear();
  const Status status = next(input, *own_);
  if (status == Status::Complete) {
    request_ = (*own_)[0];
  }
  return status;
}

Status RequestParser::next(std::string_view input, RequestBatch& batch) {
  if (phase_ == Phase::Start) {
    const std::size_t first = batch.arguments_.size();
    if (const std::size_t size = parse_whole(input, *limits_, batch.arguments_); size != 0) {
      batch.add(input.substr(0, size), first, false);
      consumed_ = size;
      return Status::Complete;
    }
    if (input.empty()) {
      return Status::NeedMore;
    }
    phase_ = input[0] == '*' ? Phase::Count : Phase::Inline;
  }
  if (phase_ == Phase::Failed) {
    return Status::Error;
  }
  return phase_ == Phase::Inline ? parse_inline(input, batch) : parse_array(input, batch);
}

Status RequestParser::parse_inline(std::string_view input, RequestBatch& batch) {
  const std::size_t window = std::min(input.size(), limits_->max_inline + 1);
  const std::size_t line_end = input.substr(0, window).find('\n', scanned_);
  if (line_end == std::string_view::npos) {
    scanned_ = window;
    return window > limits_->max_inline ? fail(kBigInline) : Status::NeedMore;
  }
  std::string_view line = input.substr(0, line_end);
  if (line.ends_with('\r')) {
    line.remove_suffix(1);
  }
  const std::size_t first = batch.arguments_.size();
  if (!split_inline(line, batch.arguments_, batch.texts_)) {
    batch.arguments_.resize(first);
    return fail(kBadQuotes);
  }
  position_ = line_end + 1;
  if (batch.arguments_.size() == first) {
    const std::size_t size = position_;
    reset();
    consumed_ = size;
    return Status::Empty;
  }
  sloppy_ = true;
  return finish(input, first, batch);
}

Status RequestParser::parse_array(std::string_view input, RequestBatch& batch) {
  if (phase_ == Phase::Count) {
    if (const Status status = parse_count(input); status != Status::Complete) {
      return status;
    }
  }
  while (pieces_.size() < announced_) {
    if (phase_ == Phase::Header) {
      const Status status = parse_header(input);
      if (status == Status::Large) {
        return hand_over(input, batch);
      }
      if (status != Status::Complete) {
        return status;
      }
    }
    if (input.size() < position_ + bulk_ + 2) {
      return Status::NeedMore;
    }
    pieces_.push_back({static_cast<std::uint32_t>(position_), static_cast<std::uint32_t>(bulk_)});
    position_ += bulk_ + 2;
    scanned_ = position_;
    sloppy_ |= input.substr(position_ - 2, 2) != "\r\n";
    phase_ = Phase::Header;
  }
  const std::size_t first = batch.arguments_.size();
  materialize(input, batch);
  return finish(input, first, batch);
}

// Complete: the line is from position_ to scanned_, where its CR is; Redis skips the byte after it.
Status RequestParser::find_line_end(std::string_view input, std::string_view too_big) {
  const std::size_t window = std::min(input.size(), position_ + limits_->max_inline + 1);
  const std::size_t line_end = input.substr(0, window).find('\r', scanned_);
  if (line_end == std::string_view::npos) {
    scanned_ = window;
    return window - position_ > limits_->max_inline ? fail(too_big) : Status::NeedMore;
  }
  scanned_ = line_end;
  if (input.size() < line_end + 2) {
    return Status::NeedMore;
  }
  sloppy_ |= input[line_end + 1] != '\n';
  return Status::Complete;
}

Status RequestParser::parse_count(std::string_view input) {
  if (const Status status = find_line_end(input, kBigCount); status != Status::Complete) {
    return status;
  }
  const auto count = base::parse_int(input.substr(1, scanned_ - 1));
  const auto most = static_cast<std::int64_t>(
      std::min<std::size_t>(limits_->max_arguments, Limits{}.max_arguments));
  if (!count || *count > most) {
    return fail(kBadCount);
  }
  position_ = scanned_ + 2;
  if (*count <= 0) {
    const std::size_t size = position_;
    reset();
    consumed_ = size;
    return Status::Empty;
  }
  announced_ = static_cast<std::uint32_t>(*count);
  scanned_ = position_;
  phase_ = Phase::Header;
  return Status::Complete;
}

Status RequestParser::parse_header(std::string_view input) {
  if (const Status status = find_line_end(input, kBigLength); status != Status::Complete) {
    return status;
  }
  if (input[position_] != '$') {
    return fail(no_dollar(input[position_]));
  }
  const auto length = base::parse_int(input.substr(position_ + 1, scanned_ - position_ - 1));
  if (!length || *length < 0 || static_cast<std::size_t>(*length) > limits_->max_bulk) {
    return fail(kBadLength);
  }
  position_ = scanned_ + 2;
  bulk_ = static_cast<std::size_t>(*length);
  phase_ = Phase::Bulk;
  const bool large = position_ + bulk_ + 2 > std::min(limits_->large_request, kLargestFrame);
  return large ? Status::Large : Status::Complete;
}

void RequestParser::materialize(std::string_view input, RequestBatch& batch) {
  for (const Piece& piece : pieces_) {
    batch.arguments_.emplace_back(input.data() + piece.offset, piece.size);
  }
}

// A request is complete up to position_; its arguments are in the batch from `first` on.
Status RequestParser::finish(std::string_view input, std::size_t first, RequestBatch& batch) {
  if (is_http(batch.arguments_[first])) {
    batch.arguments_.resize(first);
    return fail("");
  }
  const std::size_t size = position_;
  batch.add(input.substr(0, size), first, sloppy_);
  reset();
  consumed_ = size;
  return Status::Complete;
}

// Turns to streaming at the bulk that starts at position_.
Status RequestParser::hand_over(std::string_view input, RequestBatch& batch) {
  const std::size_t first = batch.arguments_.size();
  materialize(input, batch);
  request_ = {std::span(batch.arguments_).subspan(first), {}, false};
  if (!pieces_.empty() && is_http(request_.arguments[0])) {
    return fail("");
  }
  arguments_left_ = announced_ - static_cast<std::uint32_t>(pieces_.size()) - 1;
  std::vector<Piece>().swap(pieces_);
  bulk_ += 2;
  phase_ = Phase::StreamBulk;
  return Status::Large;
}

Status RequestParser::stream(std::string_view bytes) {
  if (phase_ == Phase::Failed) {
    return Status::Error;
  }
  // What was parsed before the request was known to be large.
  const std::size_t known = std::min(position_, bytes.size());
  position_ -= known;
  std::size_t at = known;
  while (at < bytes.size()) {
    if (phase_ == Phase::StreamHeader) {
      if (stream_header(bytes[at++]) == Status::Error) {
        consumed_ = at;
        return Status::Error;
      }
      continue;
    }
    if (phase_ == Phase::StreamEnd) {
      ++at;
      phase_ = Phase::StreamBulk;
      continue;
    }
    const std::size_t taken = std::min(bulk_, bytes.size() - at);
    at += taken;
    bulk_ -= taken;
    if (bulk_ == 0 && arguments_left_ == 0) {
      reset();
      consumed_ = at;
      return Status::Complete;
    }
    if (bulk_ == 0) {
      --arguments_left_;
      line_length_ = 0;
      broken_ = false;
      phase_ = Phase::StreamHeader;
    }
  }
  consumed_ = at;
  return Status::NeedMore;
}

// One byte of a "$n\r" line, with the same verdicts as parse_header.
Status RequestParser::stream_header(char c) {
  if (line_length_ == 0) {
    first_ = c;
  }
  if (c == '\r') {
    if (first_ != '$') {
      return fail(no_dollar(first_));
    }
    if (broken_ || line_length_ < 2) {
      return fail(kBadLength);
    }
    bulk_ += 2;
    phase_ = Phase::StreamEnd;
    return Status::NeedMore;
  }
  if (++line_length_ > limits_->max_inline) {
    return fail(kBigLength);
  }
  if (line_length_ == 1) {
    return Status::NeedMore;
  }
  const unsigned digit = static_cast<unsigned char>(c) - unsigned{'0'};
  const bool leading_zero = line_length_ > 2 && bulk_ == 0;
  if (broken_ || digit > 9 || leading_zero || bulk_ * 10 + digit > limits_->max_bulk) {
    broken_ = true;
  } else {
    bulk_ = bulk_ * 10 + digit;
  }
  return Status::NeedMore;
}

Status RequestParser::fail(std::string_view text) {
  reset();
  error_ = text;
  phase_ = Phase::Failed;
  return Status::Error;
}

void RequestParser::reset() {
  std::vector<Piece>().swap(pieces_);
  request_ = {};
  error_ = {};
  consumed_ = 0;
  position_ = 0;
  scanned_ = 0;
  bulk_ = 0;
  announced_ = 0;
  arguments_left_ = 0;
  sloppy_ = false;
  phase_ = Phase::Start;
}

Status parse_batch(RequestParser& parser, std::string_view input, RequestBatch& batch) {
  batch.clear();
  while (!batch.full()) {
    const Status status = parser.next(input.substr(batch.consumed_), batch);
    if (status == Status::Empty) {
      batch.consumed_ += parser.consumed_;
    } else if (status != Status::Complete) {
      return status;
    }
  }
  return Status::Complete;
}

}  // namespace pannier::resp
