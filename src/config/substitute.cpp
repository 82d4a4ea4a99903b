#include "substitute.hpp"

#include "pannier/base/bytes.hpp"

#include <algorithm>

namespace pannier::config {
namespace {

bool is_name(std::string_view text) {
  const auto is_letter = [](char c) {
    return c == '_' || (base::lower(c) >= 'a' && base::lower(c) <= 'z');
  };
  const auto is_digit = [](char c) {
    return c >= '0' && c <= '9';
  };
  return !text.empty() && is_letter(text.front()) &&
         std::all_of(text.begin(), text.end(), [&](char c) { return is_letter(c) || is_digit(c); });
}

// `body` is what stands between the braces.
void append_variable(std::string_view body, const Environment& environment, Substituted& out) {
  const auto mark = body.find(":-");
  const std::string name(body.substr(0, mark));
  if (!is_name(name)) {
    out.problem = "\"${" + base::printable(body) + "}\" names no environment variable; write " +
                  "${NAME}, ${NAME:-default}, or $$ for a dollar sign";
    return;
  }
  const bool has_default = mark != std::string_view::npos;
  const auto value =
      environment.variable != nullptr ? environment.variable(name) : std::optional<std::string>();
  if (value && !(has_default && value->empty())) {
    out.text += *value;
    out.from_environment = true;
  } else if (has_default) {
    out.text += body.substr(mark + 2);
  } else {
    out.problem = "the environment variable " + base::printable(name) +
                  " is not set; set it, or write ${" + base::printable(name) + ":-default}";
  }
}

}  // namespace

Substituted substitute(std::string_view text, const Environment& environment) {
  Substituted out;
  bool whole = false;
  for (std::size_t i = 0; i < text.size() && out.problem.empty();) {
    const auto rest = text.substr(i);
    if (rest.starts_with("$$")) {
      out.text += '$';
      i += 2;
    } else if (rest.starts_with("${")) {
      const auto end = rest.find('}');
      if (end == std::string_view::npos) {
        out.problem = "\"${\" without \"}\"; write $$ for a dollar sign";
        break;
      }
      append_variable(rest.substr(2, end - 2), environment, out);
      whole = i == 0 && end + 1 == text.size();
      i += end + 1;
    } else {
      out.text += text[i];
      ++i;
    }
  }
  out.from_environment = out.from_environment && whole;
  return out;
}

}  // namespace pannier::config
