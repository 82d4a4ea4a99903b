#include "pannier/resp/reply_writer.hpp"

#include "pannier/resp/request_parser.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

namespace pannier::resp {
namespace {

// A type byte, a number and CRLF, in one append.
template <typename Integer>
void append_header(std::string& out, char type, Integer number) {
  std::array<char, 24> text{};
  text[0] = type;
  char* const end = std::to_chars(text.data() + 1, text.data() + text.size() - 2, number).ptr;
  end[0] = '\r';
  end[1] = '\n';
  out.append(text.data(), end + 2);
}

}  // namespace

void append_simple(std::string& out, std::string_view text) {
  out += '+';
  out += text;
  out += "\r\n";
}

void append_error(std::string& out, std::string_view text) {
  out += '-';
  const std::size_t begin = out.size();
  out += text;
  std::replace_if(
      out.begin() + static_cast<std::ptrdiff_t>(begin),
      out.end(),
      [](char c) { return c == '\r' || c == '\n'; },
      ' ');
  out += "\r\n";
}

void append_integer(std::string& out, std::int64_t value) {
  append_header(out, ':', value);
}

void append_bulk(std::string& out, std::string_view bytes) {
  append_header(out, '$', bytes.size());
  out += bytes;
  out += "\r\n";
}

void append_null(std::string& out, Version version) {
  out += version == Version::Resp3 ? "_\r\n" : "$-1\r\n";
}

void append_null_array(std::string& out, Version version) {
  out += version == Version::Resp3 ? "_\r\n" : "*-1\r\n";
}

void append_array_header(std::string& out, std::size_t count) {
  append_header(out, '*', count);
}

void append_map_header(std::string& out, std::size_t pairs, Version version) {
  if (version == Version::Resp3) {
    append_header(out, '%', pairs);
  } else {
    append_header(out, '*', 2 * pairs);
  }
}

void append_set_header(std::string& out, std::size_t count, Version version) {
  append_header(out, version == Version::Resp3 ? '~' : '*', count);
}

void append_push_header(std::string& out, std::size_t count, Version version) {
  append_header(out, version == Version::Resp3 ? '>' : '*', count);
}

void append_bool(std::string& out, bool value, Version version) {
  if (version == Version::Resp3) {
    out += value ? "#t\r\n" : "#f\r\n";
  } else {
    out += value ? ":1\r\n" : ":0\r\n";
  }
}

void append_double(std::string& out, double value, Version version) {
  std::array<char, 32> text{};
  char* const end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
  // The sign of a NaN means nothing, and clients know only "nan".
  const std::string_view digits =
      std::isnan(value)
          ? std::string_view("nan")
          : std::string_view(text.data(), static_cast<std::size_t>(end - text.data()));
  if (version == Version::Resp2) {
    append_bulk(out, digits);
    return;
  }
  out += ',';
  out += digits;
  out += "\r\n";
}

void append_verbatim(std::string& out, std::string_view bytes, Version version) {
  if (version == Version::Resp2) {
    append_bulk(out, bytes);
    return;
  }
  append_header(out, '=', bytes.size() + 4);
  out += "txt:";
  out += bytes;
  out += "\r\n";
}

void append_request(std::string& out, std::span<const std::string_view> arguments) {
  append_header(out, '*', arguments.size());
  for (const std::string_view argument : arguments) {
    append_bulk(out, argument);
  }
}

}  // namespace pannier::resp
