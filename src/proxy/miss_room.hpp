#pragma once

#include "pannier/proxy/context.hpp"

#include <cstdint>

// `miss.concurrent` of a class: how many of its clients may be at their database at a time, and who
// waits until there is room (cache::MissCap).
namespace pannier::proxy {

// A nil may be given now, and is counted as one that is out.
[[nodiscard]] bool take_room(Context& context,
                             const config::PolicyClass& rules,
                             policy::ClassId key_class,
                             std::uint64_t hash);
// One is given whether or not there is room: a proxy must not make an error of a miss.
void count_late_nil(Context& context,
                    const config::PolicyClass& rules,
                    policy::ClassId key_class,
                    std::uint64_t hash);
// The wait with this token is woken when there is room; false: too many wait already.
[[nodiscard]] bool queue_for_room(Context& context, policy::ClassId key_class, std::uint64_t token);
// It waits for room no longer.
void leave_room_queue(Context& context, LeaseWaits::Id id);

}  // namespace pannier::proxy
