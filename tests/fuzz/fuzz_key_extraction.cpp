#include "pannier/command/command.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <vector>

// Bytes become arguments: the first byte picks a row (or none: then the first argument is looked
// up), the rest is cut at line ends. Whatever the words, keys are arguments of the request itself.
namespace {

using namespace pannier::command;

void require(bool holds) {
  if (!holds) {
    std::abort();
  }
}

bool is_argument(const std::vector<std::string_view>& arguments, std::string_view key) {
  for (const std::string_view argument : arguments) {
    if (argument.data() == key.data() && argument.size() == key.size()) {
      return true;
    }
  }
  return false;
}

void examine(const CommandSpec& row, const std::vector<std::string_view>& arguments) {
  std::vector<std::string_view> keys{"before"};
  const KeyStatus status = extract_keys(row, arguments, keys);
  require(keys[0] == "before");
  require(status == KeyStatus::Ok || keys.size() == 1);
  for (std::size_t i = 1; i < keys.size(); ++i) {
    require(is_argument(arguments, keys[i]));
  }
  require(block_milliseconds(row, arguments) >= -1);
  if (block_milliseconds(row, arguments) >= 0) {
    require(may_block(row, arguments));
  }
  if (replica_safe(row, arguments)) {
    require(!may_write(row));
  }
  (void)arity_fits(row, arguments.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) {
    return 0;
  }
  const std::size_t pick = data[0] | (std::size_t{data[1]} << 8);
  std::string_view text(reinterpret_cast<const char*>(data) + 2, size - 2);
  std::vector<std::string_view> arguments;
  for (std::size_t end = 0; end != std::string_view::npos && arguments.size() < 1000;) {
    end = text.find('\n');
    arguments.push_back(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  if (pick < table().size()) {
    examine(table()[pick], arguments);
  }
  if (const CommandSpec* row = find(arguments); row != nullptr) {
    require(find(row->name) == row);
    examine(*row, arguments);
  }
  return 0;
}
