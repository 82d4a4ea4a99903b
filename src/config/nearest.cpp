#include "pannier/config/nearest.hpp"

#include "pannier/base/bytes.hpp"

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

namespace pannier::config {
namespace {

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

std::string_view nearest_name(std::string_view name, std::span<const std::string_view> known) {
  constexpr std::size_t kLongestGuess = 40;
  if (name.size() > kLongestGuess) {
    return {};
  }
  const std::string lowered = base::to_lower(name);
  std::string_view best;
  std::size_t distance = 1 + std::max<std::size_t>(1, lowered.size() / 3);
  for (const auto candidate : known) {
    const auto d = edit_distance(lowered, candidate);
    if (d < distance) {
      distance = d;
      best = candidate;
    }
  }
  return best;
}

}  // namespace pannier::config
