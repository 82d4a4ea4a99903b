#include "scalars.hpp"

#include "pannier/base/bytes.hpp"
#include "pannier/config/glob.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <span>

namespace pannier::config {
namespace {

struct Unit {
  std::string_view name;
  std::int64_t factor;
};

constexpr std::array<Unit, 4> kDurations{
    {{"ms", 1'000}, {"s", 1'000'000}, {"m", 60'000'000}, {"h", 3'600'000'000}}};
constexpr std::array<Unit, 5> kFineDurations{
    {{"us", 1}, {"ms", 1'000}, {"s", 1'000'000}, {"m", 60'000'000}, {"h", 3'600'000'000}}};
constexpr std::array<Unit, 4> kSizes{
    {{"B", 1}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}}};

// Longer than any good value; also the most that a message repeats of a bad one.
constexpr std::size_t kQuoted = 64;

std::string quoted(std::string_view text) {
  return "\"" + base::printable(text, kQuoted) + "\"";
}

std::string in_range(const Key& key, std::int64_t value, std::string (*shown)(std::int64_t)) {
  if (key.min == key.max && value != key.min) {
    return "must be " + shown(key.min) + ", not " + shown(value);
  }
  if (value < key.min || value > key.max) {
    return shown(value) + " is out of range; allowed is " + shown(key.min) + " to " +
           shown(key.max);
  }
  return "";
}

std::string count_text(std::int64_t value) {
  return std::to_string(value);
}

std::string size_text(std::int64_t bytes) {
  return base::human_bytes(static_cast<std::uint64_t>(bytes));
}

std::string read_count(const Key& key, std::string_view text, Reading& reading) {
  const auto value = base::parse_int(text);
  if (!value) {
    return quoted(text) + " is not a whole number" +
           (key.words == "auto" ? "; write a number or auto" : "");
  }
  reading.number = *value;
  return in_range(key, *value, count_text);
}

std::string listed(std::span<const Unit> units) {
  std::string out;
  for (const auto& unit : units) {
    out += (out.empty() ? "" : &unit == &units.back() ? " or " : ", ") + std::string(unit.name);
  }
  return out;
}

// "250ms" with `units`; `example` stands in the advice.
std::string read_with_unit(std::string_view text,
                           std::span<const Unit> units,
                           std::string_view example,
                           std::int64_t& out) {
  const auto digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const auto advice =
      "; write a whole number and one of " + listed(units) + ", such as " + std::string(example);
  const auto value = base::parse_int(text.substr(0, digits));
  if (!value) {
    return quoted(text) + " is not a number with a unit" + advice;
  }
  const auto name = text.substr(digits);
  if (name.empty()) {
    return quoted(text) + " has no unit" + advice;
  }
  const auto unit =
      std::find_if(units.begin(), units.end(), [&](const Unit& u) { return u.name == name; });
  if (unit == units.end()) {
    return quoted(text) + " has no known unit" + advice;
  }
  // What does not fit is out of every range.
  const bool fits = *value <= std::numeric_limits<std::int64_t>::max() / unit->factor;
  out = fits ? *value * unit->factor : std::numeric_limits<std::int64_t>::max();
  return "";
}

std::string read_duration(const Key& key, std::string_view text, Reading& reading) {
  const bool fine = key.type == Type::FineDuration;
  const auto units =
      fine ? std::span<const Unit>(kFineDurations) : std::span<const Unit>(kDurations);
  auto problem =
      read_with_unit(text, units, key.shown.empty() ? "250ms" : key.shown, reading.number);
  if (!problem.empty()) {
    return problem;
  }
  return in_range(key, reading.number, duration_text);
}

std::string read_size(const Key& key, std::string_view text, Reading& reading) {
  auto problem = read_with_unit(text, kSizes, "64MiB", reading.number);
  if (!problem.empty()) {
    return problem;
  }
  return in_range(key, reading.number, size_text);
}

std::string share_text(std::int64_t thousandths) {
  auto out = std::to_string(thousandths / kShareUnit);
  if (thousandths % kShareUnit != 0) {
    const auto digits = std::to_string(kShareUnit + thousandths % kShareUnit);
    out += "." + digits.substr(1, digits.find_last_not_of('0'));
  }
  return out + "%";
}

// "10%", or "0.125%" where the row takes fractions.
std::string read_share(const Key& key, std::string_view text, Reading& reading) {
  const bool fine = key.type == Type::FineShare;
  const auto* advice =
      fine ? "; write a number and %, such as 0.1%" : "; write a whole number and %, such as 10%";
  if (!text.ends_with('%')) {
    return quoted(text) + " is not a share" + advice;
  }
  const auto number = text.substr(0, text.size() - 1);
  const auto dot = number.find('.');
  const auto whole = base::parse_int(number.substr(0, dot));
  std::string fraction(dot == std::string_view::npos ? "0" : number.substr(dot + 1));
  const bool digits = !fraction.empty() && fraction.size() <= 3 &&
                      fraction.find_first_not_of("0123456789") == std::string::npos;
  if (!whole || *whole < 0 || !digits || (dot != std::string_view::npos && !fine)) {
    return quoted(text) + " is not a share" + advice;
  }
  fraction.resize(3, '0');
  // What does not fit is out of every range.
  constexpr std::int64_t kMost = 1'000'000;
  reading.number = std::min(*whole, kMost) * kShareUnit;
  for (std::int64_t place = 100; const char c : fraction) {
    reading.number += (c - '0') * place;
    place /= 10;
  }
  return in_range(key, reading.number, share_text);
}

std::string read_glob(std::string_view text, Reading& reading) {
  reading.text = std::string(text);
  const auto fault = glob_fault(text);
  return fault.empty() ? "" : text.empty() ? fault : quoted(text) + " " + fault;
}

std::string read_choice(const Key& key, std::string_view text, Reading& reading) {
  std::string all;
  std::string_view rest = key.words;
  for (std::int64_t place = 0; !rest.empty(); ++place) {
    const auto bar = std::min(rest.find('|'), rest.size());
    const auto word = rest.substr(0, bar);
    if (word == text) {
      reading.number = place;
      return "";
    }
    rest.remove_prefix(std::min(bar + 1, rest.size()));
    all += (all.empty() ? "" : rest.empty() ? " or " : ", ") + std::string(word);
  }
  return quoted(text) + " is not one of " + all;
}

std::string read_flag(std::string_view text, Reading& reading) {
  reading.flag = text == "true";
  return text == "true" || text == "false" ? "" : quoted(text) + " is neither true nor false";
}

std::string read_mode(std::string_view text, Reading& reading) {
  const bool octal = text.size() == 4 && text.front() == '0' &&
                     text.find_first_not_of("01234567") == std::string_view::npos;
  if (!octal) {
    return quoted(text) + " is not a file mode; write it in octal with a leading 0, such as 0660";
  }
  reading.number = 0;
  for (const char c : text) {
    reading.number = reading.number * 8 + (c - '0');
  }
  return "";
}

std::string read_address(std::string_view text, Reading& reading) {
  constexpr std::string_view kHostBytes =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:%";
  constexpr std::size_t kMaxHost = 253;  // of a DNS name
  base::Endpoint endpoint;
  const bool parsed = base::Endpoint::parse(text, endpoint);
  if (!parsed || endpoint.host.find_first_not_of(kHostBytes) != std::string::npos ||
      endpoint.host.size() > kMaxHost) {
    return quoted(text) + " is not an address; write host:port, [ipv6]:port or unix:/path";
  }
  if (endpoint.is_unix()) {
    const bool printable = base::printable(endpoint.unix_path, 1000) == endpoint.unix_path;
    if (!endpoint.unix_path.starts_with('/') || !printable) {
      return quoted(text) + " is not a socket's path; write unix:/path with the whole path";
    }
    if (base::SocketAddress::from_unix_path(endpoint.unix_path).length == 0) {
      return "the socket's path is longer than the 107 bytes that the system allows";
    }
  }
  reading.endpoint = std::move(endpoint);
  return "";
}

std::string read_text(const Key& key, std::string_view text, Reading& reading) {
  if (text.empty()) {
    return "is empty";
  }
  const auto limit = static_cast<std::size_t>(key.max);
  if (text.size() > limit) {
    return "is longer than " + std::to_string(limit) + " bytes";
  }
  // Names travel in commands, logs and metrics, where a space or a control byte would break things.
  const bool plain =
      std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < '\x7f'; });
  if (!plain && key.type == Type::Text) {
    return quoted(text) + " has a space or a byte that cannot be printed";
  }
  if (text.find('\0') != std::string_view::npos) {
    return "has a zero byte";
  }
  reading.text = std::string(text);
  return "";
}

}  // namespace

std::string read_scalar(const Key& key, std::string_view text, Reading& reading) {
  if (key.words == "auto" && text == "auto") {
    reading.is_auto = true;
    return "";
  }
  switch (key.type) {
    case Type::Address:
      return read_address(text, reading);
    case Type::Flag:
      return read_flag(text, reading);
    case Type::Count:
      return read_count(key, text, reading);
    case Type::Duration:
    case Type::FineDuration:
      return read_duration(key, text, reading);
    case Type::Size:
      return read_size(key, text, reading);
    case Type::Share:
    case Type::FineShare:
      return read_share(key, text, reading);
    case Type::Glob:
      return read_glob(text, reading);
    case Type::Choice:
      return read_choice(key, text, reading);
    case Type::Mode:
      return read_mode(text, reading);
    default:
      return read_text(key, text, reading);
  }
}

std::string duration_text(std::int64_t microseconds) {
  if (microseconds == 0) {
    return "0s";
  }
  const Unit* best = kFineDurations.data();
  for (const auto& unit : kFineDurations) {
    if (microseconds % unit.factor == 0 && microseconds >= unit.factor) {
      best = &unit;
    }
  }
  return std::to_string(microseconds / best->factor) + std::string(best->name);
}

}  // namespace pannier::config
