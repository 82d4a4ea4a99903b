#pragma once

#include "pannier/base/clock.hpp"
#include "pannier/cache/hot_keys.hpp"

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

// What operators do to the near cache, from a client or from the admin port.
namespace pannier::proxy {

struct Context;
struct Shared;

// "10m", "30s", "500ms", "1h"; nothing when it is no period, zero, or over 24 h.
[[nodiscard]] std::optional<base::Duration> parse_bypass_period(std::string_view text);

// From now on the near cache, flights and leases are off until `until`; zero: they are on. Any
// thread.
void set_bypass(Shared& shared, base::TimePoint until);

// On a worker's thread. Returns how many kept replies were removed, of all workers.
std::size_t invalidate_keys(Context& context, std::span<const std::string_view> keys);

// The most used keys of all workers together. Pure.
[[nodiscard]] std::vector<cache::HotKeys::Entry> merge_hot_keys(
    std::vector<std::vector<cache::HotKeys::Entry>>&& parts, std::size_t most);

// What stands for a key where its name may not be shown: "#" and its hash.
[[nodiscard]] std::string hidden_key(std::string_view key);

}  // namespace pannier::proxy
