#include "json.hpp"

#include <algorithm>

namespace pannier::config {
namespace {

std::string quoted(std::string_view value) {
  std::string out = "\"";
  for (const char c : value) {
    if (c == '"' || c == '\\') {
      out += '\\';
    }
    out += c;
  }
  return out + "\"";
}

}  // namespace

Json Json::text(std::string_view value) {
  Json out(Kind::Scalar);
  out.scalar_ = quoted(value);
  return out;
}

Json Json::number(std::int64_t value) {
  Json out(Kind::Scalar);
  out.scalar_ = std::to_string(value);
  return out;
}

Json Json::flag(bool value) {
  Json out(Kind::Scalar);
  out.scalar_ = value ? "true" : "false";
  return out;
}

Json Json::list(std::vector<Json> items) {
  Json out(Kind::List);
  out.items_ = std::move(items);
  return out;
}

Json Json::texts(const std::vector<std::string_view>& items) {
  std::vector<Json> out;
  out.reserve(items.size());
  for (const auto item : items) {
    out.push_back(text(item));
  }
  return list(std::move(out));
}

Json Json::object() {
  return Json(Kind::Object);
}

Json& Json::add(std::string_view name, Json value) {
  members_.emplace_back(name, std::move(value));
  return *this;
}

void Json::write(std::string& out, std::size_t indent) const {
  if (kind_ == Kind::Scalar) {
    out += scalar_;
    return;
  }
  const bool is_list = kind_ == Kind::List;
  const bool on_one_line =
      is_list && std::all_of(items_.begin(), items_.end(), [](const Json& item) {
        return item.kind_ == Kind::Scalar;
      });
  const std::string line_end =
      on_one_line ? std::string() : "\n" + std::string(2 * (indent + 1), ' ');
  bool first = true;
  const auto separate = [&] {
    out += first ? line_end : on_one_line ? ", " : "," + line_end;
    first = false;
  };
  out += is_list ? '[' : '{';
  for (const auto& item : items_) {
    separate();
    item.write(out, indent + 1);
  }
  for (const auto& [name, value] : members_) {
    separate();
    out += quoted(name) + ": ";
    value.write(out, indent + 1);
  }
  if (!first && !on_one_line) {
    out += "\n" + std::string(2 * indent, ' ');
  }
  out += is_list ? ']' : '}';
}

}  // namespace pannier::config
