#include "key_table.hpp"

#include "pannier/base/bytes.hpp"

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

// How many bytes to insert, delete, change or swap with a neighbour to get from `a` to `b`.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<std::size_t>> cost(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) {
    for (std::size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        cost[i][j] = i + j;
        continue;
      }
      const std::size_t change = a[i - 1] == b[j - 1] ? 0 : 1;
      cost[i][j] = std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1, cost[i - 1][j - 1] + change});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
      }
    }
  }
  return cost[a.size()][b.size()];
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
  constexpr std::size_t kLongestGuess = 40;
  if (name.size() > kLongestGuess || only_elsewhere(name) != nullptr) {
    return nullptr;
  }
  const std::string lowered = base::to_lower(name);
  const Key* best = nullptr;
  std::size_t distance = 1 + std::max<std::size_t>(1, lowered.size() / 3);
  for (const Key* key : below(section)) {
    const auto d = edit_distance(lowered, name_of(*key));
    if (d < distance) {
      distance = d;
      best = key;
    }
  }
  return best;
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
