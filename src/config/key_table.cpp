#include "key_table.hpp"

#include "pannier/config/nearest.hpp"

#include <algorithm>

namespace pannier::config {
namespace {

// "upstream" of "upstream.kind"; the root's path is empty.
std::string_view section_of(std::string_view path) {
  const auto dot = path.rfind('.');
  return dot == std::string_view::npos ? std::string_view() : path.substr(0, dot);
}

bool is_named(const Key& key) {
  return !key.path.empty() && !key.path.ends_with("[]");
}

}  // namespace

const Key* KeyTable::find(std::string_view path) const {
  const auto found =
      std::find_if(rows_.begin(), rows_.end(), [&](const Key& key) { return key.path == path; });
  return found == rows_.end() ? nullptr : &*found;
}

std::vector<const Key*> KeyTable::below(std::string_view section) const {
  std::vector<const Key*> out;
  for (const auto& key : rows_) {
    if (is_named(key) && section_of(key.path) == section) {
      out.push_back(&key);
    }
  }
  return out;
}

std::string_view name_of(const Key& key) {
  const auto dot = key.path.rfind('.');
  return dot == std::string_view::npos ? key.path : key.path.substr(dot + 1);
}

const Key* KeyTable::only_elsewhere(std::string_view name) const {
  const Key* found = nullptr;
  for (const auto& key : rows_) {
    if (is_named(key) && name_of(key) == name) {
      if (found != nullptr) {
        return nullptr;
      }
      found = &key;
    }
  }
  return found;
}

const Key* KeyTable::nearest(std::string_view section, std::string_view name) const {
  if (only_elsewhere(name) != nullptr) {
    return nullptr;
  }
  const auto rows = below(section);
  std::vector<std::string_view> names;
  names.reserve(rows.size());
  for (const Key* key : rows) {
    names.push_back(name_of(*key));
  }
  const auto meant = nearest_name(name, names);
  const auto at = std::find(names.begin(), names.end(), meant);
  return at == names.end() ? nullptr : rows[static_cast<std::size_t>(at - names.begin())];
}

std::string KeyTable::unknown_key_advice(std::string_view section, std::string_view name) const {
  if (const Key* elsewhere = only_elsewhere(name)) {
    const auto home = section_of(elsewhere->path);
    return "unknown key here; it belongs " +
           (home.empty() ? "at the top of the file" : "under `" + std::string(home) + "`");
  }
  if (const Key* meant = nearest(section, name)) {
    return "unknown key; did you mean `" + std::string(name_of(*meant)) + "`?";
  }
  std::string all;
  for (const Key* key : below(section)) {
    if (key->type != Type::Refused) {
      all += (all.empty() ? "" : ", ") + std::string(name_of(*key));
    }
  }
  return "unknown key; known here: " + all;
}

}  // namespace pannier::config
