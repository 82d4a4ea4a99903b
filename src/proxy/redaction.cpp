#include "redaction.hpp"

#include "pannier/base/bytes.hpp"

namespace pannier::proxy {

std::vector<bool> shown_arguments(const command::CommandSpec& row,
                                  std::span<const std::string_view> arguments) {
  std::vector<bool> shown(arguments.size(), false);
  if (arguments.empty()) {
    return shown;
  }
  shown[0] = true;
  if (row.has(command::kNoAuth)) {  // what follows may be a password, wherever it stands
    return shown;
  }
  // A container's own row means that the subcommand is unknown; then it is a client's free text.
  if (arguments.size() > 1 && row.name.find('|') != std::string_view::npos) {
    shown[1] = true;
  }
  std::vector<std::string_view> keys;
  if (command::extract_keys(row, arguments, keys) == command::KeyStatus::Unknown) {
    return shown;
  }
  // Keys are views of the arguments, in their order: where the bytes are tells which they are. An
  // empty argument's place may be its neighbour's too, but then there is nothing to see.
  std::size_t next = 0;
  for (const std::string_view key : keys) {
    for (std::size_t i = 0; i < arguments.size(); ++i) {
      const std::size_t at = (next + i) % arguments.size();
      if (arguments[at].data() == key.data() && arguments[at].size() == key.size()) {
        shown[at] = true;
        next = at + 1;
        break;
      }
    }
  }
  return shown;
}

std::string hidden_argument(std::string_view argument) {
  std::string out = "(";
  base::append_int(out, static_cast<std::int64_t>(argument.size()));
  out += " bytes)";
  return out;
}

}  // namespace pannier::proxy
