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

constexpr std::int64_t kBytesPerMicrosecond = 1024;  // nothing is faster than a GiB in a second

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

// "20" or "64KiB".
std::string read_amount(std::string_view text, std::string_view example, Reading& reading) {
  reading.flag = text.find_first_not_of("0123456789") != std::string_view::npos;
  if (reading.flag) {
    return read_with_unit(text, kSizes, example, reading.number);
  }
  const auto value = base::parse_int(text);
  reading.number = value.value_or(0);
  return value ? "" : quoted(text) + " is not a whole number";
}

std::string read_bounded_amount(const Key& key, std::string_view text, Reading& reading) {
  auto problem = read_amount(text, "64KiB", reading);
  return !problem.empty() ? problem
                          : in_range(key, reading.number, reading.flag ? size_text : count_text);
}

// "60/1m" or "10MiB/1s". The row's range is that of the time.
std::string read_rate(const Key& key, std::string_view text, Reading& reading) {
  const auto slash = text.find('/');
  if (slash == std::string_view::npos || slash == 0) {
    return quoted(text) + " is not a rate; write a number, / and a time, such as 60/1m or 10MiB/1s";
  }
  auto problem = read_amount(text.substr(0, slash), "10MiB/1s", reading);
  if (problem.empty()) {
    problem = read_with_unit(text.substr(slash + 1), kDurations, "60/1m", reading.period);
  }
  if (problem.empty()) {
    problem = in_range(key, reading.period, duration_text);
  }
  if (!problem.empty()) {
    return problem;
  }
  if (reading.number == 0) {
    return quoted(text) + " lets nothing through; what is to be refused belongs under `deny`";
  }
  const std::int64_t most = reading.flag ? reading.period * kBytesPerMicrosecond : reading.period;
  if (reading.number > most) {
    return quoted(text) + " is more than " + (reading.flag ? "1KiB" : "one") +
           " per microsecond, which is " + (reading.flag ? size_text(most) : count_text(most)) +
           "/" + duration_text(reading.period) + "; write less, or leave the limit out";
  }
  return "";
}

bool is_word(std::string_view text, std::string_view marks) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
    const char low = base::lower(c);
    return (low >= 'a' && low <= 'z') || (c >= '0' && c <= '9') ||
           marks.find(c) != std::string_view::npos;
  });
}

// "GET", "CONFIG SET", which may be "config|set", or "@write".
std::string read_command(std::string_view text, Reading& reading) {
  reading.text = base::to_lower(text);
  std::replace(reading.text.begin(), reading.text.end(), '|', ' ');
  std::string_view name = reading.text;
  if (name.starts_with('@')) {
    return is_word(name.substr(1), "-_")
               ? ""
               : quoted(text) + " is not a category; write one such as @write";
  }
  const auto space = std::min(name.find(' '), name.size());
  const bool good = is_word(name.substr(0, space), "-_.") &&
                    (space == name.size() || is_word(name.substr(space + 1), "-_."));
  return good && text.size() <= kQuoted
             ? ""
             : quoted(text) +
                   " is not a command; write GET, \"CONFIG SET\" or a category such as @write";
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

// The capture's name is the text, the number is behind those of the words.
std::string read_per(const Key& key, std::string_view text, Reading& reading) {
  if (!text.starts_with('{')) {
    const auto problem = read_choice(key, text, reading);
    return problem.empty() ? "" : problem + "; a capture is written { name }";
  }
  const auto glob = parse_glob(text);
  if (!glob.fault.empty() || glob.tokens.size() != 1 || glob.captures.size() != 1) {
    return quoted(text) + " is not a capture; write { name }, as a glob of `keys` has it";
  }
  reading.text = glob.captures.front();
  reading.number = 1 + std::count(key.words.begin(), key.words.end(), '|');
  return "";
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
  const bool printable =
      std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c < '\x7f'; });
  if (!printable && key.type == Type::Line) {
    return quoted(text) + " is not one line of text";
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
    case Type::Command:
      return read_command(text, reading);
    case Type::Per:
      return read_per(key, text, reading);
    case Type::Rate:
      return read_rate(key, text, reading);
    case Type::Amount:
      return read_bounded_amount(key, text, reading);
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
