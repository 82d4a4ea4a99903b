#pragma once

#include "pannier/policy/ttl_plan.hpp"

#include <string_view>

namespace pannier::policy {

// Which arguments of a storing command name the keys that it stores to.
enum class TtlTarget : std::uint8_t {
  First,
  Second,
  Pairs,    // each key of MSET
  LastKey,  // of extract_keys, when there are several: SORT and GEORADIUS with STORE
  None
};

struct TtlRow {
  std::string_view name;
  TtlForm form = TtlForm::None;
  TtlTarget target = TtlTarget::First;
  // It may leave everything as it was and not say so by an error alone.
  bool is_conditional = false;
  bool is_fresh = false;  // what was there is replaced, its TTL too
};

// The row of a command; its form is None for commands that store nothing.
[[nodiscard]] const TtlRow& ttl_row(const command::CommandSpec& row);

// Whether this very request may store: BITFIELD with nothing but GET does not, XGROUP CREATE only
// with MKSTREAM, COPY to another database stores nothing that could be given a TTL from here.
[[nodiscard]] bool stores(const TtlRow& row, std::span<const std::string_view> arguments);
// Whether it may leave everything as it was; by its options for ZADD, GEOADD and XADD.
[[nodiscard]] bool is_conditional(const TtlRow& row, std::span<const std::string_view> arguments);

}  // namespace pannier::policy
