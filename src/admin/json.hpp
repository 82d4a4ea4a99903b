#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace pannier::admin {

// Writes JSON piece by piece; commas come by themselves. The caller keeps begin and end in pairs.
class JsonWriter {
 public:
  JsonWriter& begin_object();
  JsonWriter& end_object();
  JsonWriter& begin_array();
  JsonWriter& end_array();
  JsonWriter& key(std::string_view name);

  // Control characters are escaped, bytes that are no UTF-8 become U+FFFD.
  JsonWriter& value(std::string_view text);

  JsonWriter& value(const char* text) { return value(std::string_view(text)); }

  JsonWriter& value(bool flag);
  JsonWriter& value(std::uint64_t number);
  JsonWriter& value(std::int64_t number);
  JsonWriter& value(double number);  // null when it is not finite
  JsonWriter& null();

  template <typename Value>
  JsonWriter& field(std::string_view name, const Value& content) {
    return key(name).value(content);
  }

  // The text, with a line's end.
  [[nodiscard]] std::string take();

 private:
  void separate();
  JsonWriter& raw(std::string_view text);

  std::string out_;
  bool first_ = true;  // in the object or array that is open, or after a key
};

}  // namespace pannier::admin
