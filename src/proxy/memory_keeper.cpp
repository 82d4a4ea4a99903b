#include "memory_keeper.hpp"

#include "pannier/base/bytes.hpp"
#include "pannier/base/log.hpp"

#include "request_handler.hpp"

#include <fmt/format.h>
#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>
#include <vector>

namespace pannier::proxy {
namespace {

// While all is well a turn that changes little need not be told.
constexpr auto kReportEvery = std::chrono::milliseconds(1);
constexpr std::size_t kWorthReporting = 256UL * 1024;

using base::MemoryLevel;
using base::MemoryOwner;
using std::chrono::milliseconds;

constexpr std::size_t kPerSession = sizeof(Session) + 512;  // with its transport and names
constexpr std::size_t kPerShadowEntry = 128;
constexpr std::size_t kWorthClosing = 16 * 1024;  // bytes that a client holds
// Many may hold less, of requests that never become whole. They are not closed at once: a whole one
// may be on its way.
constexpr std::size_t kHalfRequest = 1024;
constexpr auto kFullForLong = std::chrono::seconds(5);
constexpr std::size_t kWorthGivingBack = 4 * 1024 * 1024;
constexpr auto kFirstTrimPause = milliseconds(100);
constexpr base::Duration kLongestTrimPause = std::chrono::seconds(5);
constexpr auto kResizeEvery = milliseconds(100);
constexpr auto kLookAgainAfter = milliseconds(100);
constexpr auto kGiveBackAfter = std::chrono::seconds(1);
constexpr std::size_t kCacheFloor = 8;  // the near cache keeps this part of its share
constexpr std::size_t kCacheStep = 16;

// "near cache 20MiB, output 4MiB": the three largest.
std::string largest_owners(const base::MemoryBudget& budget) {
  std::vector<std::pair<std::size_t, MemoryOwner>> owners;
  for (std::size_t i = 0; i < base::kMemoryOwners; ++i) {
    const auto owner = static_cast<MemoryOwner>(i);
    owners.emplace_back(budget.held_by(owner), owner);
  }
  std::sort(owners.rbegin(), owners.rend());
  std::string out;
  for (std::size_t i = 0; i < 3; ++i) {
    out += fmt::format("{}{} {}",
                       i == 0 ? "" : ", ",
                       base::to_string(owners[i].second),
                       base::human_bytes(owners[i].first));
  }
  return out;
}

const char* advice(MemoryLevel level) {
  switch (level) {
    case MemoryLevel::Normal:
      return "all is as configured again";
    case MemoryLevel::Tight:
      return "the near cache shrinks, and clients may have less under way";
    case MemoryLevel::Full:
      return "who holds the most is closed, and clients with replies under way are refused more; "
             "raise `memory` if this is ordinary load";
  }
  return "";
}

}  // namespace

void MemoryKeeper::end_turn() {
  upstream::Runtime& runtime = context_->runtime;
  const bool all_well = level_ == MemoryLevel::Normal && runtime.memory.is_normal();
  if (all_well && runtime.now < next_report_ &&
      runtime.memory.held() < reported_held_ + kWorthReporting) {
    return;
  }
  next_report_ = runtime.now + kReportEvery;
  reported_held_ = runtime.memory.held();
  has_read_ = false;
  report();
  if (has_read_) {
    see_to_cache();
    if (level_ != MemoryLevel::Normal) {
      trim();
      wake_others();
    }
  }
  if (level_ == MemoryLevel::Full) {
    relieve();
  }
}

base::MemoryHeld MemoryKeeper::count() {
  upstream::Runtime& runtime = context_->runtime;
  base::MemoryHeld out{};
  const auto set = [&out](MemoryOwner owner, std::size_t bytes) {
    out[static_cast<std::size_t>(owner)] = bytes;
  };
  const std::size_t blocks = runtime.blocks.used_bytes();
  const std::size_t queues = std::min(blocks, upstream_blocks_);
  runtime.memory.connections = context_->sessions.size() * kPerSession;
  set(MemoryOwner::Output, blocks - queues);
  set(MemoryOwner::Upstream, queues + runtime.memory.upstream);
  set(MemoryOwner::Held, runtime.memory.sessions);
  set(MemoryOwner::Slots, runtime.slots.bytes());
  set(MemoryOwner::Flights, runtime.memory.flights);
  set(MemoryOwner::Connections, runtime.memory.connections);
  return out;
}

void MemoryKeeper::report() {
  const base::MemoryHeld held = count();
  most_held_ = std::max(most_held_, context_->runtime.memory.held());
  base::MemoryBudget& budget = context_->shared.memory;
  const auto allowance = budget.report(context_->worker, held, context_->runtime.now);
  context_->runtime.memory.allow(allowance);
  has_read_ = has_read_ || allowance.has_read;
  const MemoryLevel before = std::exchange(level_, allowance.level);
  if (allowance.before != allowance.level) {
    note_level(allowance.level);
  }
  if (level_ == MemoryLevel::Full && before != MemoryLevel::Full) {
    full_since_ = context_->runtime.now;
  }
  if (level_ != MemoryLevel::Normal) {
    look_again_soon();
  }
  if (level_ < before) {
    context_->sessions.for_each([](Session& session) { session.on_memory_eased(); });
    give_back_soon();
  }
}

void MemoryKeeper::note_level(MemoryLevel now) {
  if (context_->runtime.now < next_log_ && now <= logged_) {
    return;
  }
  logged_ = now;
  next_log_ = context_->runtime.now + std::chrono::seconds(1);
  const base::MemoryBudget& budget = context_->shared.memory;
  const std::string text =
      fmt::format("memory is {}: {} of {} taken ({}); {} (said at most once a second)",
                  base::to_string(now),
                  base::human_bytes(budget.estimate()),
                  base::human_bytes(budget.budget()),
                  largest_owners(budget),
                  advice(now));
  if (now == MemoryLevel::Normal) {
    base::log_info("memory", "{}", text);
  } else {
    base::log_warn("memory", "{}", text);
  }
}

void MemoryKeeper::see_to_cache() {
  Shared& shared = context_->shared;
  upstream_blocks_ = context_->lanes.held_bytes() + context_->pinned.held_bytes();
  upstream_blocks_ -= std::min(upstream_blocks_, context_->runtime.memory.upstream);
  shared.memory.set_shared(MemoryOwner::NearCache, shared.near_cache.used_bytes());
  if (shared.shadow) {
    shared.memory.set_shared(MemoryOwner::ShadowCache, shared.shadow->entries() * kPerShadowEntry);
  }
  if (shared.config.near_cache > 0 &&
      (level_ == MemoryLevel::Full || context_->runtime.now >= next_resize_)) {
    next_resize_ = context_->runtime.now + kResizeEvery;
    resize_cache();
  }
}

// Down to its floor in steps while memory is tight, at once when it is used up; back to its share
// in steps as far as there is room.
void MemoryKeeper::resize_cache() {
  Shared& shared = context_->shared;
  const std::size_t share = shared.config.near_cache;
  const std::size_t floor = share / kCacheFloor;
  const std::size_t step = share / kCacheStep;
  const std::size_t now = shared.near_cache.budget();
  std::size_t next = now;
  if (level_ == MemoryLevel::Full) {
    next = floor;
  } else if (level_ == MemoryLevel::Tight) {
    const std::size_t used = std::min(now, shared.near_cache.used_bytes());
    next = std::max(floor, used - std::min(used, step));
  } else if (now < share && !shared.memory.would_be_tight(step)) {
    next = std::min(share, now + step);
  }
  if (next != now) {
    shared.near_cache.set_budget(next);
  }
}

// What was freed is the allocator's until it is asked for it, and the orchestrator counts it.
void MemoryKeeper::trim() {
  const base::TimePoint now = context_->runtime.now;
  base::MemoryBudget& budget = context_->shared.memory;
  const std::size_t held = context_->runtime.memory.held();
  const bool much_went = most_held_ > held + budget.budget() / 64;
  if (now < next_trim_ && !much_went) {
    return;
  }
  most_held_ = held;
  const std::size_t before = budget.resident();
  context_->runtime.blocks.trim();
  context_->runtime.slots.trim();
  ::malloc_trim(0);
  budget.read_again();
  const bool helped = budget.resident() + budget.budget() / 64 < before;
  trim_pause_ =
      helped ? kFirstTrimPause
             : std::clamp<base::Duration>(trim_pause_ * 2, kFirstTrimPause, kLongestTrimPause);
  next_trim_ = now + trim_pause_;
  report();
}

// Clients that do not read make no turns, and wait for what is kept from them meanwhile.
void MemoryKeeper::look_again_soon() {
  if (!looks_again_) {
    looks_again_ = true;
    context_->runtime.timers.add(context_->runtime.now + kLookAgainAfter,
                                 [this] { looks_again_ = false; });
  }
}

// A storm is over, or is about to be: what it took is not the allocator's to keep.
void MemoryKeeper::give_back_soon() {
  if (gives_back_) {
    return;
  }
  gives_back_ = true;
  context_->runtime.timers.add(context_->runtime.now + kGiveBackAfter, [this] {
    gives_back_ = false;
    give_back(true);
  });
}

void MemoryKeeper::give_back(bool many_left) {
  const std::size_t held = context_->runtime.memory.held();
  if (!many_left && most_held_ < held + kWorthGivingBack) {
    return;
  }
  most_held_ = held;
  context_->runtime.blocks.trim();
  context_->runtime.slots.trim();
  ::malloc_trim(0);
}

void MemoryKeeper::relieve() {
  base::MemoryBudget& budget = context_->shared.memory;
  const std::size_t excess = budget.excess_over(MemoryLevel::Full);
  if (excess == 0) {
    return;
  }
  close_largest(excess);
  context_->sessions.sweep();
  report();
  if (has_read_) {
    trim();
  }
}

void MemoryKeeper::close_largest(std::size_t excess) {
  struct Candidate {
    std::size_t bytes;
    upstream::SessionRef ref;
  };

  const bool for_long = full_since_ + kFullForLong <= context_->runtime.now;
  std::vector<Candidate> candidates;
  context_->sessions.for_each([&](const Session& session) {
    const std::size_t bytes = session.held_bytes();
    if (bytes >= kWorthClosing || (for_long && session.input_bytes() >= kHalfRequest)) {
      candidates.push_back({bytes, session.ref()});
    }
  });
  std::sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) {
    return a.bytes > b.bytes;
  });
  base::MemoryBudget& budget = context_->shared.memory;
  const std::size_t largest = candidates.empty() ? 0 : candidates.front().bytes;
  budget.set_largest(context_->worker, largest);
  std::size_t gone = 0;
  for (const Candidate& candidate : candidates) {
    // Another worker has one who holds more: its turn comes with the next reading.
    if (gone >= excess || candidate.bytes < budget.largest_of_others(context_->worker)) {
      break;
    }
    if (Session* session = context_->sessions.find(candidate.ref)) {
      log_closed(*session);
      session->close(metrics::CloseReason::Memory);
      gone += candidate.bytes;
    }
  }
}

void MemoryKeeper::log_closed(const Session& session) {
  if (context_->runtime.now < next_closed_log_) {
    return;
  }
  next_closed_log_ = context_->runtime.now + std::chrono::seconds(1);
  const base::MemoryBudget& budget = context_->shared.memory;
  base::log_warn("memory",
                 "client {} is closed: of all clients it holds the most, {} ({} unread replies, {} "
                 "unparsed input), and {} of the budget of {} are taken (said at most once a "
                 "second; all are counted)",
                 session.state.remote_address,
                 base::human_bytes(session.held_bytes()),
                 base::human_bytes(session.output_bytes()),
                 base::human_bytes(session.input_bytes()),
                 base::human_bytes(budget.estimate()),
                 base::human_bytes(budget.budget()));
}

// They may hold what is too much and have no events of their own; the end of their turn sees to it.
void MemoryKeeper::wake_others() {
  for (std::uint32_t i = 0; i < context_->shared.config.workers; ++i) {
    if (i != context_->worker) {
      context_->shared.post(i, [](Context&) {});
    }
  }
}

bool refused_for_memory(Context& context, Session& session, const command::CommandSpec& row) {
  if (!context.runtime.memory.is_full() || row.handling == command::Handling::Local ||
      session.pinned.connection != nullptr || session.pinned.lost ||
      (session.replies().pending() == 0 && session.output_bytes() == 0)) {
    return false;
  }
  const std::string why = fmt::format(
      "UPSTREAM Pannier's memory budget of {} is used up; read the replies that are "
      "under way and try again (not sent)",
      base::human_bytes(context.shared.memory.budget()));
  if (row.name == "multi") {
    refuse_multi(context, session, metrics::Refusal::Memory, why);
  } else {
    refuse(context, session, metrics::Refusal::Memory, why);
  }
  return true;
}

}  // namespace pannier::proxy
