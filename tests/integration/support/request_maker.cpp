#include "request_maker.hpp"

#include "pannier/command/command.hpp"

#include "request_forms.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <stdexcept>

namespace pannier::test {

namespace {

using command::CommandSpec;

constexpr std::string_view kTypes = "scblhSzxgp";
constexpr int kKeysOfType = 3;

bool is_left_out(const CommandSpec& row) {
  const std::size_t bar = row.name.find('|');
  return std::any_of(std::begin(kLeftOut), std::end(kLeftOut), [&](std::string_view name) {
    return name == row.name ||
           (bar != std::string_view::npos && name == row.name.substr(0, bar + 1));
  });
}

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> words;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    words.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return words;
}

const CommandSpec* row_of(const std::vector<std::string>& words) {
  const std::vector<std::string_view> views(words.begin(), words.end());
  return command::find(views);
}

// By what the table tells: keys where keys are, small numbers elsewhere.
std::string form_of(const CommandSpec& row) {
  std::string form(row.name);
  std::size_t count = 1;
  if (const std::size_t bar = form.find('|'); bar != std::string::npos) {
    form[bar] = ' ';
    count = 2;
  }
  const auto least = static_cast<std::size_t>(std::abs(row.arity));
  const auto first = static_cast<std::size_t>(std::max<std::int16_t>(row.first, 0));
  for (; count < least; ++count) {
    form += row.rule == command::KeyRule::Range && count == first ? " $k" : " 1";
  }
  return form;
}

std::int64_t unix_seconds() {
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace

RequestMaker::RequestMaker(unsigned seed, std::vector<std::string> prefixes)
    : random_(seed),
      prefixes_(std::move(prefixes)),
      forms_(std::begin(kRequestForms), std::end(kRequestForms)) {
  std::vector<const CommandSpec*> formed;
  for (const std::string& form : forms_) {
    formed.push_back(row_of(split(form)));
  }
  for (const CommandSpec& row : command::table()) {
    if (!is_left_out(row) && std::find(formed.begin(), formed.end(), &row) == formed.end()) {
      forms_.push_back(form_of(row));
    }
  }
  next_ = forms_.size();
}

int RequestMaker::any(int from, int to) {
  return std::uniform_int_distribution<int>(from, to)(random_);
}

const std::string& RequestMaker::any_prefix() {
  return prefixes_[static_cast<std::size_t>(any(0, static_cast<int>(prefixes_.size()) - 1))];
}

std::string RequestMaker::key(std::string_view prefix, char type) {
  std::string out(prefix.empty() ? any_prefix() : prefix);
  out += type;
  out += std::to_string(any(1, kKeysOfType));
  return out;
}

std::string RequestMaker::any_key(std::string_view prefix) {
  return key(prefix, kTypes[static_cast<std::size_t>(any(0, static_cast<int>(kTypes.size()) - 1))]);
}

std::vector<std::string> RequestMaker::all_keys() const {
  std::vector<std::string> out;
  for (const std::string& prefix : prefixes_) {
    for (const char type : kTypes) {
      for (int i = 1; i <= kKeysOfType; ++i) {
        out.push_back(prefix + type + std::to_string(i));
      }
    }
  }
  return out;
}

std::vector<std::string_view> RequestMaker::commands() const {
  std::vector<std::string_view> out;
  for (const CommandSpec& row : command::table()) {
    if (!is_left_out(row)) {
      out.push_back(row.name);
    }
  }
  return out;
}

// Now and then one that does not go through a shared lane.
std::string RequestMaker::value() {
  const int size = any(0, 999);
  const int length = size < 3 ? 70'000 : size < 30 ? 5'000 : size % 100;
  return std::string(static_cast<std::size_t>(length), static_cast<char>('a' + any(0, 25)));
}

// Short, middling, or long, in seconds.
std::string RequestMaker::life() {
  constexpr std::array<int, 3> kLives{120, 1000, 7200};
  return std::to_string(kLives.at(static_cast<std::size_t>(any(0, 2))) + any(0, 100));
}

std::string RequestMaker::word_for(char what, std::string_view prefix) {
  switch (what) {
    case 'k':
      return any_key(prefix);
    case 'v':
      return value();
    case 'w':
      return std::string(static_cast<std::size_t>(any(0, 20)), 'w');
    case 'i':
      return std::to_string(any(0, 30));
    case 't':
      return life();
    case 'T':
      return life() + "000";
    case 'a':
      return std::to_string(unix_seconds() + std::stoll(life()));
    case 'A':
      return std::to_string(unix_seconds() + std::stoll(life())) + "000";
    case 'd':
      return std::to_string(any(-2, 0));
    case 'e':
      return "return 1";
    case 'f':
      return any(0, 2) == 0 ? std::string(40, 'f') : "e0e1f9fabfc9d4800c877a703b823ac0578ff8db";
    case 'E':
      return "return redis.call('SET', KEYS[1], ARGV[1])";
    case 'L':
      return "#!lua name=shop\nredis.register_function('put', function(keys, arguments) "
             "return redis.call('SET', keys[1], arguments[1]) end)";
    case 'D':
      return std::string("\x00\xc0\x07\x0a\x00\x74\xcd\x48\xa2\x83\xab\xce\x92", 13);
    default:
      // Rarely one of another type.
      return any(0, 19) == 0 ? any_key(prefix) : key(prefix, what);
  }
}

// A word is missing, or there is one too many where that is never right.
void RequestMaker::spoil(std::vector<std::string>& words, const CommandSpec* row) {
  if (row == nullptr || row->name.starts_with("command") || any(0, 39) != 0) {
    return;  // COMMAND without arguments tells a whole hash table
  }
  if (row->arity > 0 && any(0, 1) == 0) {
    words.emplace_back("more");
  } else if (words.size() > 1) {
    words.pop_back();
  }
}

RequestMaker::Request RequestMaker::next(std::string_view prefix) {
  if (next_ == forms_.size()) {
    std::shuffle(forms_.begin(), forms_.end(), random_);
    next_ = 0;
  }
  Request out;
  for (std::string& word : split(forms_[next_++])) {
    const std::size_t sign = word.find('$');
    if (sign == std::string::npos || word.size() == 1) {
      out.words.push_back(std::move(word));
      continue;
    }
    std::string made;
    for (std::size_t i = 0; i < word.size(); ++i) {
      made += word[i] == '$' ? word_for(word[++i], prefix) : std::string(1, word[i]);
    }
    out.words.push_back(std::move(made));
  }
  const CommandSpec* row = row_of(out.words);
  spoil(out.words, row);
  if (row != nullptr) {
    out.tells_time = row->name.ends_with("ttl") || row->name.ends_with("expiretime");
    out.is_forwarded = row->handling == command::Handling::Forward;
  }
  return out;
}

}  // namespace pannier::test
