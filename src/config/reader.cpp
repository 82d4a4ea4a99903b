#include "reader.hpp"

#include "pannier/base/bytes.hpp"

#include "files.hpp"
#include "scalars.hpp"
#include "substitute.hpp"

#include <map>
#include <set>
#include <utility>

namespace pannier::config {
namespace {

constexpr std::size_t kMaxSecret = 64 * 1024;

std::string below(const std::string& path, std::string_view name) {
  return path + (path.empty() ? "" : ".") + std::string(name);
}

std::string child_path(const Key& key, std::string_view name) {
  return below(std::string(key.path), name);
}

bool is_section(const Key& key) {
  return key.type == Type::Section || key.type == Type::Switchable;
}

bool is_element(const Key& key) {
  return key.path.ends_with("[]");
}

bool has(const Value& map, std::string_view name) {
  for (const auto& entry : map.items) {
    if (entry.key == name) {
      return true;
    }
  }
  return false;
}

// { name }, a map with a key that has no value.
bool is_capture(const Value& value) {
  return value.kind == Value::Kind::Map && value.items.size() == 1 &&
         value.items.front().kind == Value::Kind::Nothing;
}

// The names in one map, and their places, to find what is there twice.
using Seen = std::map<std::string_view, Place>;

const char* name_of(Value::Kind kind) {
  switch (kind) {
    case Value::Kind::List:
      return "a list";
    case Value::Kind::Map:
      return "a map";
    case Value::Kind::Scalar:
      return "a single value";
    case Value::Kind::Nothing:
      break;
  }
  return "nothing";
}

}  // namespace

Reader::Reader(const KeyTable& keys,
               Draft& draft,
               const Environment* environment,
               const std::string& directory)
    : keys_(&keys),
      draft_(&draft),
      environment_(environment),
      directory_(&directory) {}

void Reader::read(const Value& root) {
  if (root.kind != Value::Kind::Map) {
    const Place place = root.where().line > 0 ? root.where() : Place{1, 1};
    draft_->faults->error(
        place, "", "the file must be a map; the smallest is: " + std::string(keys_->smallest()));
    return;
  }
  read_entries(root, *keys_->find(""), "");
}

void Reader::read_value(const Value& value, const Key& key, const std::string& path) {
  if (key.type == Type::Refused) {
    fault(value, path, "not available in this version: " + std::string(key.help));
  } else if (value.kind == Value::Kind::Nothing) {
    fault(value, path, "has no value; give it one or leave the key out");
  } else if (is_section(key)) {
    read_section(value, key, path);
  } else if (key.type == Type::List) {
    read_list(value, key, path);
  } else {
    read_single(value, key, path);
  }
}

// Makes room in the draft for what follows.
void Reader::begin(const Value& value, const Key& key, const std::string& path, bool on) {
  Reading reading;
  reading.path = path;
  reading.place = value.where();
  reading.flag = on;
  key.store(*draft_, reading);
}

void Reader::read_section(const Value& value, const Key& key, const std::string& path) {
  const bool off =
      key.type == Type::Switchable && value.kind == Value::Kind::Scalar && value.text == "off";
  if (!is_element(key)) {
    begin(value, key, path, !off);
  }
  if (off) {
    return;
  }
  if (value.kind == Value::Kind::Map) {
    read_entries(value, key, path);
  } else if (value.kind == Value::Kind::Scalar && !key.words.empty()) {
    read_short_form(value, key, path);
  } else {
    fault(value,
          path,
          std::string("must be a map") + (key.words.empty() ? "" : " or a string") + ", not " +
              name_of(value.kind));
  }
}

// The whole file's map too.
void Reader::read_entries(const Value& map, const Key& key, const std::string& path) {
  Seen seen;
  std::set<const Key*> misspelt;
  for (const auto& entry : map.items) {
    const auto entry_path = below(path, base::printable(entry.key));
    const auto [first, is_new] = seen.emplace(entry.key, entry.key_place);
    if (!is_new) {
      draft_->faults->error(entry.key_place,
                            entry_path,
                            "is given twice, first on line " + std::to_string(first->second.line));
      continue;
    }
    // A key's name that holds "[]" or "." would name a row without being in this section.
    const bool is_word = entry.key.find_first_of(".[") == std::string::npos && !entry.key.empty();
    const Key* row = is_word ? keys_->find(child_path(key, entry.key)) : nullptr;
    if (row == nullptr) {
      const bool explain = !draft_->faults->enough();
      draft_->faults->error(
          entry.key_place,
          entry_path,
          explain ? keys_->unknown_key_advice(key.path, entry.key) : std::string("unknown key"));
      misspelt.insert(explain ? keys_->nearest(key.path, entry.key) : nullptr);
    } else {
      read_value(entry, *row, entry_path);
    }
  }
  for (const Key* row : keys_->below(key.path)) {
    const auto name = config::name_of(*row);
    // A key that is only misspelt is told once.
    if (row->required && !has(map, name) && !misspelt.contains(row)) {
      draft_->faults->error(map.where(), below(path, name), "is missing; it must be given");
    }
  }
  if (keys_->find(child_path(key, "password_file")) != nullptr) {
    check_passwords(map, path);
  }
}

void Reader::read_short_form(const Value& value, const Key& key, const std::string& path) {
  const Key& row = *keys_->find(child_path(key, key.words));
  if (is_element(row)) {
    begin(value, row, path, true);
  }
  read_value(value, row, path);
}

void Reader::read_list(const Value& value, const Key& key, const std::string& path) {
  if (value.kind != Value::Kind::List) {
    fault(value, path, std::string("must be a list, not ") + name_of(value.kind));
    return;
  }
  const auto size = static_cast<std::int64_t>(value.items.size());
  if (size < key.min || size > key.max) {
    fault(value,
          path,
          "has " + std::to_string(size) + " entries; allowed are " + std::to_string(key.min) +
              " to " + std::to_string(key.max));
    return;
  }
  const Key& row = *keys_->find(std::string(key.path) + "[]");
  for (std::size_t i = 0; i < value.items.size(); ++i) {
    const auto element = path + "[" + std::to_string(i) + "]";
    if (is_section(row)) {
      // Also for a value that turns out to be wrong, so that indices stay those of the file.
      begin(value.items[i], row, element, true);
    }
    read_value(value.items[i], row, element);
  }
}

void Reader::read_single(const Value& value, const Key& key, const std::string& path) {
  if (key.type == Type::Per && is_capture(value)) {
    Value text = value;
    text.kind = Value::Kind::Scalar;
    text.text = "{" + value.items.front().key + "}";
    read_single(text, key, path);
    return;
  }
  if (value.kind != Value::Kind::Scalar) {
    fault(value,
          path,
          std::string("must be a single value, not ") + name_of(value.kind) +
              (key.type == Type::Glob  ? "; put the glob in quotes"
               : key.type == Type::Per ? "; a capture is written { name }"
                                       : ""));
    return;
  }
  const auto substituted = environment_ != nullptr ? substitute(value.text, *environment_)
                                                   : Substituted{value.text, "", false};
  if (!substituted.problem.empty()) {
    fault(value, path, substituted.problem);
    return;
  }
  if (key.type == Type::Secret && !substituted.from_environment) {
    fault(value, path, "never write a password here; use password_file, or ${VARIABLE} alone");
    return;
  }
  Reading reading;
  reading.path = path;
  reading.place = value.where();
  std::string problem;
  if (key.type == Type::SecretFile) {
    reading.text = substituted.text;
    problem = read_secret_file(reading);
  } else {
    problem = read_scalar(key, substituted.text, reading);
  }
  if (problem.empty()) {
    key.store(*draft_, reading);
  } else {
    fault(value, path, std::move(problem));
  }
}

std::string Reader::read_secret_file(Reading& reading) const {
  if (reading.text.empty() || reading.text.find('\0') != std::string::npos) {
    return "is not the name of a file";
  }
  const auto file = resolve_path(*directory_, reading.text);
  std::string problem;
  auto secret = read_small_file(file, kMaxSecret, problem);
  const auto shown = base::printable(file, 200);
  if (!secret) {
    return "cannot use " + shown + ": " + problem;
  }
  if (secret->ends_with('\n')) {
    secret->pop_back();
    if (secret->ends_with('\r')) {
      secret->pop_back();
    }
  }
  if (secret->empty()) {
    return "cannot use " + shown + ": it is empty";
  }
  if (secret->find_first_of(std::string_view("\n\r\0", 3)) != std::string::npos) {
    return "cannot use " + shown + ": a secret is one line of text";
  }
  reading.text = std::move(*secret);
  return "";
}

void Reader::check_passwords(const Value& map, const std::string& path) {
  const bool file = has(map, "password_file");
  const bool variable = has(map, "password");
  if (file == variable) {
    draft_->faults->error(map.where(),
                          path,
                          std::string(file ? "has both password and password_file; keep one"
                                           : "needs password_file, or password: ${VARIABLE}"));
  }
}

void Reader::fault(const Value& value, const std::string& path, std::string message) {
  draft_->faults->error(value.where(), path, std::move(message));
}

}  // namespace pannier::config
