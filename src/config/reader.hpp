#pragma once

#include "document.hpp"
#include "draft.hpp"
#include "key_table.hpp"

#include <string>
#include <string_view>

namespace pannier::config {

// Walks the document along a table of keys and fills the draft. Used once per file.
class Reader {
 public:
  // All outlive the reader. Without `environment` (null) `$` has no meaning in values.
  Reader(const KeyTable& keys,
         Draft& draft,
         const Environment* environment,
         const std::string& directory);

  void read(const Value& root);

 private:
  void read_value(const Value& value, const Key& key, const std::string& path);
  void begin(const Value& value, const Key& key, const std::string& path, bool on);
  void read_section(const Value& value, const Key& key, const std::string& path);
  void read_entries(const Value& map, const Key& key, const std::string& path);
  void read_short_form(const Value& value, const Key& key, const std::string& path);
  void read_list(const Value& value, const Key& key, const std::string& path);
  void read_single(const Value& value, const Key& key, const std::string& path);
  // The content of the file that `reading.text` names takes its place.
  [[nodiscard]] std::string read_secret_file(Reading& reading) const;
  // Of `password` and `password_file`, exactly one.
  void check_passwords(const Value& map, const std::string& path);
  void fault(const Value& value, const std::string& path, std::string message);

  const KeyTable* keys_;
  Draft* draft_;
  const Environment* environment_;
  const std::string* directory_;
};

}  // namespace pannier::config
