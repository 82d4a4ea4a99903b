#include "epochs.hpp"

namespace pannier::cache {
namespace {

// Epochs are compared by difference, because the counter may wrap when writes that flush everything
// are frequent.
bool is_below(std::uint32_t epoch, std::uint32_t floor) {
  return static_cast<std::int32_t>(epoch - floor) < 0;
}

void raise_to(std::atomic<std::uint32_t>& floor, std::uint32_t epoch) {
  std::uint32_t seen = floor.load(std::memory_order_relaxed);
  while (is_below(seen, epoch) &&
         !floor.compare_exchange_weak(seen, epoch, std::memory_order_release)) {
  }
}

bool is_below(std::uint32_t epoch, const std::atomic<std::uint32_t>& floor) {
  return is_below(epoch, floor.load(std::memory_order_acquire));
}

}  // namespace

template <typename Change>
void Epochs::for_every_floor(Change change) {
  change(all_);
  for (Node& node : nodes_) {
    change(node.all);
    change(node.tracked);
  }
  for (Floor& floor : classes_) {
    change(floor);
  }
  for (Floor& floor : doubts_) {
    change(floor);
  }
}

Epochs::Epochs(std::uint32_t first) : epoch_(first) {
  for_every_floor([first](Floor& floor) { floor.store(first, std::memory_order_relaxed); });
}

void Epochs::flush_all() {
  raise_to(all_, next());
}

void Epochs::flush_node(NodeIndex node) {
  raise_to(nodes_[node].all, next());
}

void Epochs::flush_class(ClassIndex key_class) {
  raise_to(classes_[key_class], next());
}

void Epochs::doubt_class(ClassIndex key_class) {
  raise_to(doubts_[key_class], next());
}

void Epochs::close_class(ClassIndex key_class) {
  // Far above every epoch to come before it is opened, near enough not to seem below them.
  constexpr std::uint32_t kAhead = 1U << 30U;
  raise_to(classes_[key_class], current() + kAhead);
}

void Epochs::open_class(ClassIndex key_class) {
  classes_[key_class].store(next(), std::memory_order_release);
  // A flush that found the class still closed raised nothing; its epoch lies below this one.
  raise_to(classes_[key_class], next());
}

void Epochs::lose(NodeIndex node) {
  nodes_[node].coherent.store(false, std::memory_order_release);
}

void Epochs::regain(NodeIndex node) {
  // In this order: who sees the node coherent again sees that its old replies do not count.
  raise_to(nodes_[node].tracked, next());
  nodes_[node].coherent.store(true, std::memory_order_release);
}

void Epochs::prove(NodeIndex node, base::TimePoint at) {
  nodes_[node].proven_at.store(at.time_since_epoch().count(), std::memory_order_relaxed);
}

base::TimePoint Epochs::proven_at(NodeIndex node) const {
  return base::TimePoint(base::Duration(nodes_[node].proven_at.load(std::memory_order_relaxed)));
}

Epochs::Standing Epochs::standing(const Stamp& stamp) const {
  const Node& node = nodes_[stamp.node];
  // Before the floors; see `regain`.
  const bool proven =
      !stamp.tracked || (coherent(stamp.node) && !is_below(stamp.epoch, doubts_[stamp.key_class]));
  if (is_below(stamp.epoch, all_) || is_below(stamp.epoch, node.all) ||
      is_below(stamp.epoch, classes_[stamp.key_class]) ||
      (stamp.tracked && is_below(stamp.epoch, node.tracked))) {
    return Standing::Flushed;
  }
  return proven ? Standing::Good : Standing::Unproven;
}

std::uint32_t Epochs::next() {
  const std::uint32_t epoch = epoch_.fetch_add(1, std::memory_order_acq_rel) + 1;
  // A floor that nobody raises must not fall so far behind that it seems to lie ahead.
  constexpr std::uint32_t kRenewal = 1U << 28U;
  if (epoch % kRenewal == 0) {
    for_every_floor([epoch](Floor& floor) { raise_to(floor, epoch); });
  }
  return epoch;
}

}  // namespace pannier::cache
