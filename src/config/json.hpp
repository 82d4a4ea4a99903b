#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pannier::config {

// A JSON value that is built to be written; members stay in the order in which they came.
class Json {
 public:
  static Json text(std::string_view value);  // printable ASCII
  static Json number(std::int64_t value);
  static Json flag(bool value);
  static Json list(std::vector<Json> items);
  static Json texts(const std::vector<std::string_view>& items);
  static Json object();

  // Of an object. Returns it.
  Json& add(std::string_view name, Json value);

  [[nodiscard]] bool has_members() const { return !members_.empty(); }

  // Indented by two spaces; lists of scalars on one line.
  void write(std::string& out, std::size_t indent = 0) const;

 private:
  enum class Kind : std::uint8_t {
    Scalar,
    List,
    Object
  };

  explicit Json(Kind kind) : kind_(kind) {}

  Kind kind_;
  std::string scalar_;  // as it is written
  std::vector<Json> items_;
  std::vector<std::pair<std::string, Json>> members_;
};

}  // namespace pannier::config
