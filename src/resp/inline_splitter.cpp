#include "inline_splitter.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>

namespace pannier::resp {
namespace {

constexpr bool is_blank(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

// Redis skips VT and FF between arguments but does not end one at them.
constexpr bool ends_argument(char c) {
  return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

constexpr int hex_digit(char c) {
  if (c >= '0' && c <= '9') {
    return c - '0';
  }
  const char low = static_cast<char>(c | 0x20);
  return low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
}

constexpr char unescaped(char c) {
  switch (c) {
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    case 'b':
      return '\b';
    case 'a':
      return '\a';
    default:
      return c;
  }
}

// Copies arguments with quotes out of the line. The copies together are never longer than the line.
class Splitter {
 public:
  Splitter(std::string_view line, std::vector<std::unique_ptr<char[]>>& texts)
      : line_(line),
        texts_(&texts) {}

  // The next argument; at_end() tells whether there is one.
  std::optional<std::string_view> next() {
    const std::size_t begin = at_;
    while (at_ < line_.size() && !ends_argument(line_[at_])) {
      if (line_[at_] == '"' || line_[at_] == '\'') {
        return copy_from(begin);
      }
      ++at_;
    }
    return line_.substr(begin, at_ - begin);
  }

  bool at_end() {
    while (at_ < line_.size() && is_blank(line_[at_])) {
      ++at_;
    }
    return at_ == line_.size();
  }

 private:
  std::optional<std::string_view> copy_from(std::size_t begin) {
    if (out_ == nullptr) {
      texts_->push_back(std::make_unique<char[]>(line_.size()));
      out_ = texts_->back().get();
    }
    const char* const text = out_;
    out_ += line_.copy(out_, at_ - begin, begin);
    while (at_ < line_.size() && !ends_argument(line_[at_])) {
      const char c = line_[at_++];
      if (c != '"' && c != '\'') {
        *out_++ = c;
        continue;
      }
      if (!(c == '"' ? copy_double_quoted() : copy_single_quoted())) {
        return std::nullopt;
      }
      break;
    }
    return std::string_view(text, static_cast<std::size_t>(out_ - text));
  }

  // A closing quote must end the argument.
  [[nodiscard]] bool closes() const { return at_ == line_.size() || is_blank(line_[at_]); }

  bool copy_double_quoted() {
    while (at_ < line_.size()) {
      const char c = line_[at_++];
      if (c == '"') {
        return closes();
      }
      const std::size_t left = line_.size() - at_;
      if (c != '\\' || left == 0) {
        *out_++ = c;
      } else if (line_[at_] == 'x' && left >= 3 && hex_digit(line_[at_ + 1]) >= 0 &&
                 hex_digit(line_[at_ + 2]) >= 0) {
        *out_++ = static_cast<char>(hex_digit(line_[at_ + 1]) * 16 + hex_digit(line_[at_ + 2]));
        at_ += 3;
      } else {
        *out_++ = unescaped(line_[at_++]);
      }
    }
    return false;
  }

  bool copy_single_quoted() {
    while (at_ < line_.size()) {
      const char c = line_[at_++];
      if (c == '\'') {
        return closes();
      }
      if (c == '\\' && at_ < line_.size() && line_[at_] == '\'') {
        *out_++ = line_[at_++];
      } else {
        *out_++ = c;
      }
    }
    return false;
  }

  std::string_view line_;
  std::vector<std::unique_ptr<char[]>>* texts_;
  std::size_t at_ = 0;
  char* out_ = nullptr;
};

}  // namespace

bool split_inline(std::string_view line,
                  std::vector<std::string_view>& arguments,
                  std::vector<std::unique_ptr<char[]>>& texts) {
  Splitter splitter(line, texts);
  while (!splitter.at_end()) {
    const auto argument = splitter.next();
    if (!argument) {
      return false;
    }
    arguments.push_back(*argument);
  }
  return true;
}

}  // namespace pannier::resp
