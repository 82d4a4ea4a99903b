#include "miss_room.hpp"

#include "cached_reads.hpp"

#include <vector>

namespace pannier::proxy {
namespace {

// Nils that nobody filled in time count no longer: somebody has to look at that when it is due.
void watch_expiry(Context& context) {
  if (const auto due = context.shared.miss_cap.next_expiry()) {
    context.runtime.timers.add(*due, [&context] {
      std::vector<cache::Party> woken;
      context.shared.miss_cap.expire(context.runtime.now, woken);
      wake_parties(context, woken);
      watch_expiry(context);
    });
  }
}

bool is_capped(const config::PolicyClass& rules) {
  return rules.miss && rules.miss->concurrent > 0;
}

}  // namespace

bool take_room(Context& context,
               const config::PolicyClass& rules,
               policy::ClassId key_class,
               std::uint64_t hash) {
  return !is_capped(rules) ||
         context.shared.miss_cap.take(
             key_class, hash, {rules.miss->concurrent, rules.miss->lease}, context.runtime.now);
}

void count_late_nil(Context& context,
                    const config::PolicyClass& rules,
                    policy::ClassId key_class,
                    std::uint64_t hash) {
  if (!take_room(context, rules, key_class, hash)) {
    context.runtime.metrics.classes[key_class].miss_over_cap.add();
  }
}

bool queue_for_room(Context& context, policy::ClassId key_class, std::uint64_t token) {
  if (!context.shared.miss_cap.wait(key_class, {context.worker, token})) {
    context.runtime.metrics.classes[key_class].miss_over_cap.add();
    return false;
  }
  watch_expiry(context);
  return true;
}

void leave_room_queue(Context& context, LeaseWaits::Id id) {
  LeaseWait& wait = context.waits[id];
  if (wait.for_room) {
    wait.for_room = false;
    context.shared.miss_cap.forget(wait.read.query.key_class,
                                   {context.worker, context.waits.token(id)});
  }
}

}  // namespace pannier::proxy
