#include "pannier/limit/fleet_leases.hpp"

#include <algorithm>
#include <limits>

namespace pannier::limit {
namespace {

constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
constexpr double kSharersMost = 64;
constexpr double kFewSharers = 2;
constexpr double kUnknownSharers = 8;
constexpr int kSamples = 8;  // that count
constexpr std::int64_t kLongestShyness = 1'000'000;

std::int64_t clamped(std::uint64_t value) {
  return static_cast<std::int64_t>(std::min<std::uint64_t>(value, kMost));
}

}  // namespace

Rate FleetLeases::rate_of(std::uint64_t count, std::int64_t period, std::uint64_t burst) {
  const auto rate = Rate::per(clamped(burst), clamped(count), period);
  return rate ? *rate : Rate::fraction(clamped(burst), clamped(count), period);
}

std::int64_t FleetLeases::tokens_of(const Bucket& bucket) {
  return bucket.leases[0].tokens + bucket.leases[1].tokens;
}

// The oldest ones first.
bool FleetLeases::pay(Bucket& bucket, std::int64_t quantity) {
  if (tokens_of(bucket) < quantity) {
    return false;
  }
  const std::int64_t old = std::min(quantity, bucket.leases[0].tokens);
  bucket.leases[0].tokens -= old;
  bucket.leases[1].tokens -= quantity - old;
  return true;
}

void FleetLeases::note_demand(Bucket& bucket, std::int64_t quantity, std::int64_t now) {
  const std::int64_t passed = now - bucket.since;
  if (passed >= kTau / 4) {
    const double rate = static_cast<double>(bucket.wanted) / static_cast<double>(passed);
    bucket.demand = passed > 4 * kTau ? rate : (bucket.demand + rate) / 2;
    bucket.wanted = 0;
    bucket.since = now;
  }
  bucket.wanted += quantity;
}

double FleetLeases::sharers(const Bucket& bucket) {
  return bucket.samples == 0 ? kUnknownSharers
                             : std::clamp(bucket.all / bucket.own, 1.0, kSharersMost);
}

std::int64_t FleetLeases::most_at_once(const Rate& rate, const Bucket& bucket) {
  const double share = static_cast<double>(rate.limit()) / (2 * sharers(bucket));
  return std::max<std::int64_t>(1, static_cast<std::int64_t>(share));
}

std::int64_t FleetLeases::batch(const Rate& rate, const Bucket& bucket) {
  const auto needed = static_cast<std::int64_t>(bucket.demand * static_cast<double>(kTau) / 2);
  return std::clamp<std::int64_t>(needed, 1, most_at_once(rate, bucket));
}

// What the bucket has issued since the last grant shows in its state, unless it was full meanwhile.
void FleetLeases::note_share(
    const Rate& rate, Bucket& bucket, std::int64_t asked, const Told& told, std::int64_t sent) {
  const std::int64_t full_at = sent + told.reset_after;
  const bool was_full = told.reset_after <= rate.cost(asked);
  if (bucket.granted_full_at > 0 && !was_full) {
    const auto own = static_cast<double>(asked);
    const auto all = static_cast<double>(rate.tokens_in(full_at - bucket.granted_full_at));
    bucket.samples = std::min(bucket.samples + 1, kSamples);
    bucket.own += (own - bucket.own) / bucket.samples;
    bucket.all += (std::max(own, all) - bucket.all) / bucket.samples;
  }
  bucket.granted_full_at = full_at;
}

FleetLeases::Bucket* FleetLeases::find(std::uint64_t key) {
  if (buckets_.empty()) {
    return nullptr;
  }
  Bucket* const set = &buckets_[key % (kBuckets / kWays) * kWays];
  Bucket* const found =
      std::find_if(set, set + kWays, [key](const Bucket& each) { return each.key == key; });
  return found == set + kWays ? nullptr : found;
}

// The bucket of the key, new if need be: in the place of the one whose news is the oldest. Null
// when all of its set have an ask under way.
FleetLeases::Bucket* FleetLeases::take_place(std::uint64_t key, std::int64_t now) {
  if (Bucket* const known = find(key)) {
    return known;
  }
  if (buckets_.empty()) {
    buckets_.resize(kBuckets);
  }
  Bucket* const set = &buckets_[key % (kBuckets / kWays) * kWays];
  Bucket* chosen = nullptr;
  for (Bucket* each = set; each != set + kWays; ++each) {
    if (!each->asking && (chosen == nullptr || each->since < chosen->since)) {
      chosen = each;
    }
  }
  if (chosen != nullptr) {
    wasted_ += static_cast<std::uint64_t>(tokens_of(*chosen));
    *chosen = {};
    chosen->key = key;
    chosen->since = now;
  }
  return chosen;
}

void FleetLeases::add_lease(Bucket& bucket, std::int64_t tokens, std::int64_t sent) {
  auto& [older, newer] = bucket.leases;
  if (older.tokens == 0) {
    older = newer;
    newer = {};
  }
  Lease& lease = older.tokens == 0 ? older : newer;
  const std::int64_t drop_at = sent + kTau;
  lease = {lease.tokens + tokens, lease.tokens > 0 ? std::min(lease.drop_at, drop_at) : drop_at};
}

void FleetLeases::drop_old(Bucket& bucket, std::int64_t now) {
  for (Lease& lease : bucket.leases) {
    if (lease.tokens > 0 && lease.drop_at <= now) {
      wasted_ += static_cast<std::uint64_t>(lease.tokens);
      lease.tokens = 0;
    }
  }
}

void FleetLeases::wait(Bucket& bucket, std::uint64_t waiter, std::int64_t quantity) {
  std::int32_t place = free_waiter_;
  if (place == kNobody) {
    place = static_cast<std::int32_t>(waiters_.size());
    waiters_.emplace_back();
  } else {
    free_waiter_ = waiters_[static_cast<std::size_t>(place)].next;
  }
  waiters_[static_cast<std::size_t>(place)] = {waiter, quantity, kNobody};
  if (bucket.first == kNobody) {
    bucket.first = place;
  } else {
    waiters_[static_cast<std::size_t>(bucket.last)].next = place;
  }
  bucket.last = place;
}

// In the order of their coming; who is not paid makes nobody behind it wait.
void FleetLeases::settle(Bucket& bucket, bool failed, std::vector<Settled>& settled) {
  bucket.backlog = 0;
  while (bucket.first != kNobody) {
    Waiter& waiter = waiters_[static_cast<std::size_t>(bucket.first)];
    const bool paid = !failed && pay(bucket, waiter.quantity);
    bucket.backlog += paid ? 0 : waiter.quantity;
    settled.push_back({bucket.key, waiter.name, waiter.quantity, paid});
    const std::int32_t next = waiter.next;
    waiter.next = free_waiter_;
    free_waiter_ = bucket.first;
    bucket.first = next;
  }
}

std::int64_t FleetLeases::begin_ask(const Rate& rate, Bucket& bucket, std::int64_t quantity) {
  const std::int64_t together =
      std::min(std::max(batch(rate, bucket), bucket.backlog), most_at_once(rate, bucket));
  bucket.backlog = 0;
  bucket.asking = true;
  const std::int64_t left = bucket.ask_most > 0 ? bucket.ask_most : kMost;
  return std::max(quantity, std::min(together, left));
}

// More, before the last ones are spent: where so few are spent that they would only be dropped,
// none.
std::int64_t FleetLeases::prefetch(const Rate& rate, Bucket& bucket, std::int64_t now) {
  const std::int64_t together = batch(rate, bucket);
  const bool enough = together < 2 || tokens_of(bucket) * 2 > together;
  const bool there =
      now >= bucket.ask_from && bucket.full_at + rate.cost(together) - rate.tolerance() <= now;
  return enough || !there || bucket.asking || away_ ? 0 : begin_ask(rate, bucket, 1);
}

FleetLeases::Answer FleetLeases::answer_away(const Rate& rate, Bucket& bucket, std::int64_t now) {
  Answer out{Kind::Away, 0, 0};
  if (now >= probe_from_ && !bucket.asking) {
    probe_from_ = now + kAwayFor;
    out.ask = begin_ask(rate, bucket, 1);
  }
  return out;
}

FleetLeases::Answer FleetLeases::spend(const Rate& rate,
                                       std::uint64_t key,
                                       std::int64_t quantity,
                                       std::uint64_t waiter,
                                       std::int64_t now) {
  if (rate.cost(quantity) > rate.tolerance()) {
    return {Kind::Denied, -1, 0};
  }
  Bucket* const bucket = take_place(key, now);
  if (bucket == nullptr) {
    return {Kind::Away, 0, 0};
  }
  note_demand(*bucket, quantity, now);
  drop_old(*bucket, now);
  if (bucket->first == kNobody && pay(*bucket, quantity)) {
    return {Kind::Spent, 0, prefetch(rate, *bucket, now)};
  }
  if (away_) {
    return answer_away(rate, *bucket, now);
  }
  const std::int64_t there_at = bucket->full_at + rate.cost(quantity) - rate.tolerance();
  const std::int64_t retry = std::max(bucket->ask_from, there_at) - now;
  if (!bucket->asking && retry > 0) {
    return {Kind::Denied, retry, 0};
  }
  wait(*bucket, waiter, quantity);
  return {Kind::Wait, 0, bucket->asking ? 0 : begin_ask(rate, *bucket, quantity)};
}

void FleetLeases::give_back(std::uint64_t key, std::int64_t quantity) {
  Bucket* const bucket = find(key);
  if (bucket == nullptr) {
    wasted_ += static_cast<std::uint64_t>(quantity);
    return;
  }
  const bool newer = bucket->leases[1].drop_at > bucket->leases[0].drop_at;
  bucket->leases[newer ? 1 : 0].tokens += quantity;
}

// Who has taken the last or was refused asks again when B tokens have come, and the later the more
// there are who share them: so that each ask is likely to be granted, and none of what comes
// meanwhile is lost (B is 1/(2N) of what fits).
void FleetLeases::be_shy(const Rate& rate, Bucket& bucket, std::int64_t sent) {
  const std::int64_t together = rate.cost(batch(rate, bucket));
  const double others = bucket.samples == 0 ? 0 : sharers(bucket) - 1;
  const auto longest = static_cast<std::int64_t>(
      std::min<double>(2 * others * static_cast<double>(together), kLongestShyness));
  const std::int64_t there_at = bucket.full_at + together - rate.tolerance();
  bucket.ask_from =
      std::max(there_at, sent) + std::uniform_int_distribution<std::int64_t>(0, longest)(random_);
}

void FleetLeases::answered(const Rate& rate,
                           const Ask& ask,
                           const Told& told,
                           std::int64_t now,
                           std::vector<Settled>& settled) {
  away_ = false;
  Bucket* const bucket = find(ask.key);
  if (bucket == nullptr) {
    return;
  }
  drop_old(*bucket, now);
  bucket->asking = false;
  bucket->full_at = ask.sent + told.reset_after;
  bucket->ask_most = bucket->ask_from = 0;
  if (told.granted) {
    note_share(rate, *bucket, ask.tokens, told, ask.sent);
    add_lease(*bucket, ask.tokens, ask.sent);
  }
  if (told.remaining > 0 && !told.granted &&
      (bucket->samples == 0 || sharers(*bucket) < kFewSharers)) {
    bucket->ask_most = told.remaining;
  } else if (told.remaining == 0 || !told.granted) {
    be_shy(rate, *bucket, ask.sent);
  }
  settle(*bucket, false, settled);
}

void FleetLeases::failed(std::uint64_t key, std::int64_t now, std::vector<Settled>& settled) {
  give_up(now);
  if (Bucket* const bucket = find(key)) {
    bucket->asking = false;
    settle(*bucket, true, settled);
  }
}

void FleetLeases::give_up(std::int64_t now) {
  if (!away_) {
    away_ = true;
    probe_from_ = now + kAwayFor;
  }
}

}  // namespace pannier::limit
