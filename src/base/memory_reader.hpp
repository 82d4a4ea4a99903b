#pragma once

#include "pannier/base/memory_budget.hpp"

#include <cstddef>
#include <functional>
#include <string>

namespace pannier::base {

// As `system_memory_reader`, whose `root` is "", with the kernel's files below another folder.
[[nodiscard]] std::function<MemoryReading()> memory_reader_below(const std::string& root,
                                                                 std::size_t group_limit);

}  // namespace pannier::base
