#include "cached_reads.hpp"

#include "pannier/resp/reply_writer.hpp"

#include "introspection.hpp"
#include "key_class.hpp"

#include <algorithm>
#include <chrono>

namespace pannier::proxy {
namespace {

using command::CommandSpec;
using config::CacheRules;
using config::RuleMode;
using metrics::Miss;

void count_miss(metrics::ClassMetrics& metrics, Miss reason) {
  metrics.misses.at(static_cast<std::size_t>(reason)).add();
}

metrics::ClassMetrics& metrics_of(Context& context, policy::ClassId key_class) {
  return context.runtime.metrics.classes[key_class];
}

// `share` of all, in percent.
bool is_sampled(Context& context, double share) {
  if (share <= 0) {
    return false;
  }
  constexpr double kRange = 4294967296.0;
  return static_cast<double>(next_random(context)) < share / 100 * kRange;
}

void start_own(Context& context,
               const CachedRead& read,
               FlightKind kind,
               std::uint64_t digest,
               base::Duration age) {
  const Flights::Id id = start_flight(context, {read, kind, digest});
  if (id == 0) {
    return;
  }
  if (kind == FlightKind::Sample) {
    context.flights[id].hit_age = age;
    metrics_of(context, read.query.key_class).sampled.add();
  } else {
    metrics_of(context, read.query.key_class).refreshes.add();
  }
}

// What a hit makes Pannier do once the stripe's lock is free again.
struct Afterwards {
  bool answered = false;
  bool refresh = false;
  bool sample = false;
  std::uint64_t digest = 0;
  base::Duration age{};
};

void answer_hit(Session& session, const cache::Hit& hit) {
  if (hit.negative) {
    std::string nil;
    resp::append_null(nil, session.state.version);
    session.answer(nil);
  } else if (hit.shared().empty()) {
    session.answer(hit.bytes());
  } else {
    session.answer(hit.shared());
  }
}

// Decides over a kept reply under its stripe's lock.
Afterwards use_hit(Context& context, Session& session, const CachedRead& read) {
  Afterwards out;
  metrics::ClassMetrics& metrics = metrics_of(context, read.query.key_class);
  const CacheRules& rules = *context.rules->at(read.query.key_class).cache;
  const base::TimePoint now = context.runtime.now;
  const cache::Hit hit = context.shared.near_cache.find(read.query, now);
  if (!hit || hit.freshness == cache::Freshness::Unproven) {
    const bool busy = !hit && !context.shared.near_cache.begin(read.query).clean;
    count_miss(metrics, hit ? Miss::Unproven : busy ? Miss::WriteBusy : Miss::Absent);
    return out;
  }
  const bool stale = hit.freshness == cache::Freshness::Stale;
  if (stale && now >= hit.fresh_until + rules.stale_while_revalidate) {
    count_miss(metrics, Miss::Absent);
    return out;
  }
  answer_hit(session, hit);
  (stale ? metrics.stale_hits : hit.negative ? metrics.negative_hits : metrics.hits).add();
  context.hot_bytes = hit.bytes().size();
  out.answered = true;
  out.refresh = stale || hit.wants_refresh;
  out.sample = !hit.negative && is_sampled(context, rules.sample);
  if (out.sample) {
    out.digest = cache::NearCache::hash(hit.bytes());
    out.age = hit.age;
  }
  return out;
}

bool takes_part(const Session& session, const CachedRead& read) {
  return std::any_of(session.reads.begin(), session.reads.end(), [&](const Participation& own) {
    return own.hash == read.query.hash;
  });
}

bool answer_from_memory(Context& context, Session& session, const CachedRead& read) {
  const Afterwards then = use_hit(context, session, read);
  if (then.refresh && context.flights.find(read) == 0) {
    start_own(context, read, FlightKind::Refresh, 0, {});
  }
  if (then.sample) {
    start_own(context, read, FlightKind::Sample, then.digest, then.age);
  }
  return then.answered;
}

// The flight that the session's outstanding reads allow it to join, for a read that missed.
Served join_or_fill(Context& context, Session& session, const Fill& fill) {
  const Flights::Id found = context.flights.find(fill.read);
  bool elsewhere = false;  // an earlier read of the key is under way, not in that flight
  bool has_joined = false;
  for (const Participation& own : session.reads) {
    if (own.hash == fill.read.query.hash) {
      elsewhere = elsewhere || own.flight != found;
      has_joined = has_joined || !own.led;
    }
  }
  const auto may_join = [&] {
    const Flight& flight = context.flights[found];
    return flight.joinable && flight.joiners.size() < Flight::kMaxJoiners &&
           context.runtime.now - flight.sent < Flight::kMaxJoinAge &&
           context.shared.near_cache.may_join(flight.ticket, fill.read.query);
  };
  if (found != 0 && !elsewhere && may_join()) {
    Flight& flight = context.flights[found];
    const std::uint32_t place = session.open_place();
    flight.joiners.push_back({session.ref(), place, session.state.reply_mode != ReplyMode::On, 0});
    session.reads.push_back({fill.read.query.hash, found, place, false});
    metrics_of(context, fill.read.query.key_class).joins.add();
    return Served::Done;
  }
  if (has_joined) {
    session.wait_for(Waiting::Order);  // a later answer must not be older than an earlier one
    return Served::Wait;
  }
  return Served::Fill;
}

Served serve_shadow(Context& context, Fill& fill) {
  fill.kind = FlightKind::Shadow;
  const cache::Hit hit = context.shared.shadow->find(fill.read.query, context.runtime.now);
  metrics::ClassMetrics& metrics = metrics_of(context, fill.read.query.key_class);
  if (hit && hit.freshness == cache::Freshness::Fresh &&
      hit.bytes().size() == sizeof(fill.digest)) {
    metrics.shadow_hits.add();
    hit.bytes().copy(reinterpret_cast<char*>(&fill.digest), sizeof(fill.digest));
  } else {
    metrics.shadow_misses.add();
  }
  return Served::Fill;
}

}  // namespace

void prefetch_batch(Context& context) {
  const resp::RequestBatch& batch = context.batch;
  context.batch_index = 0;
  if (!context.rules->any_cache || batch.size() < 2) {
    for (std::size_t i = 0; i < std::max<std::size_t>(batch.size(), 1); ++i) {
      context.hashed_keys[i].key = nullptr;  // of an earlier batch that was not handled whole
    }
    return;
  }
  std::size_t end = 0;  // of those that are in the cache's classes
  for (std::size_t i = 0; i < batch.size(); ++i) {
    const resp::Request request = batch[i];
    HashedKey& ahead = context.hashed_keys[i];
    ahead.key = request.arguments.size() > 1 ? request.arguments[1].data() : nullptr;
    if (ahead.key == nullptr) {
      continue;
    }
    ahead.key_class = context.rules->matcher.match(request.arguments[1]);
    if (is_cached(context, ahead.key_class)) {
      ahead.hash = cache::NearCache::hash(request.arguments[1]);
      context.shared.near_cache.prefetch_bucket(ahead.hash);
      end = i + 1;
    }
  }
  const auto for_cached = [&](const auto& prefetch) {
    for (std::size_t i = 0; i < end; ++i) {
      const HashedKey& ahead = context.hashed_keys[i];
      if (ahead.key != nullptr && is_cached(context, ahead.key_class)) {
        prefetch(ahead.hash);
      }
    }
  };
  const cache::NearCache& near_cache = context.shared.near_cache;
  for_cached([&](std::uint64_t hash) { near_cache.prefetch_slot(hash); });
  for_cached([&](std::uint64_t hash) { near_cache.prefetch_entry(hash); });
}

bool is_bypassed(const Context& context) {
  const std::int64_t until = context.shared.bypass_until.load(std::memory_order_relaxed);
  return until != 0 && context.runtime.now.time_since_epoch().count() < until;
}

bool identify_read(const Context& context,
                   const Session& session,
                   const CommandSpec& row,
                   std::span<const std::string_view> arguments,
                   CachedRead& read) {
  if (!row.has(command::kCacheable) || session.state.db > 255 ||
      !command::arity_fits(row, arguments.size()) ||
      (row.last != row.first && arguments.size() != 2)) {
    return false;
  }
  const policy::ClassId key_class = class_of(context, arguments[1]);
  if (!is_cached(context, key_class)) {
    return false;
  }
  read.row = &row;
  read.arguments = arguments;
  read.version = session.state.version;
  const HashedKey& hashed = context.hashed_keys[context.batch_index];
  read.query.hash =
      hashed.key == arguments[1].data() ? hashed.hash : cache::NearCache::hash(arguments[1]);
  read.query.key = arguments[1];
  read.query.rest = arguments.subspan(2);
  read.query.row = command::index_of(row);
  read.query.db = static_cast<std::uint8_t>(session.state.db);
  read.query.version = row.has(command::kTypedReply)
                           ? static_cast<std::uint8_t>(session.state.version)
                           : std::uint8_t{0};
  read.query.key_class = key_class;
  return true;
}

Served serve_cached(Context& context,
                    Session& session,
                    const CommandSpec& row,
                    std::span<const std::string_view> arguments,
                    Fill& fill) {
  if (!identify_read(context, session, row, arguments, fill.read)) {
    return Served::No;
  }
  metrics::ClassMetrics& metrics = metrics_of(context, fill.read.query.key_class);
  if (context.rules->at(fill.read.query.key_class).cache->mode == RuleMode::Observe) {
    return serve_shadow(context, fill);
  }
  if (session.listener().strong || is_bypassed(context)) {
    count_miss(metrics, session.listener().strong ? Miss::Strong : Miss::Bypass);
    return Served::No;
  }
  // While an earlier read of the key is under way, what is kept may be older than its answer.
  if (!takes_part(session, fill.read) && answer_from_memory(context, session, fill.read)) {
    return Served::Done;
  }
  return join_or_fill(context, session, fill);
}

std::optional<base::SharedBytes> find_stale(Context& context,
                                            const CachedRead& read,
                                            resp::Version version) {
  const config::PolicyClass& rule = context.rules->at(read.query.key_class);
  if (!rule.cache || rule.cache->stale_if_error.count() == 0 || is_bypassed(context)) {
    return std::nullopt;
  }
  const cache::Hit hit = context.shared.near_cache.find(read.query, context.runtime.now);
  if (!hit) {
    return std::nullopt;
  }
  const base::TimePoint from = hit.freshness == cache::Freshness::Unproven
                                   ? context.shared.near_cache.proven_at(hit.node)
                                   : hit.fresh_until;
  if (context.runtime.now >= from + rule.cache->stale_if_error) {
    return std::nullopt;
  }
  metrics_of(context, read.query.key_class).error_hits.add();
  if (hit.negative) {
    std::string nil;
    resp::append_null(nil, version);
    return base::SharedBytes::copy_of(nil);
  }
  base::SharedBytes shared = hit.shared();
  return shared.empty() ? base::SharedBytes::copy_of(hit.bytes()) : std::move(shared);
}

bool is_nil(std::string_view reply) {
  return reply == "$-1\r\n" || reply == "_\r\n";
}

void note_shown(Context& context,
                const cache::Query& query,
                cache::Ticket& ticket,
                std::optional<std::string_view> reply) {
  context.shared.near_cache.show(
      query, ticket, reply && is_nil(*reply) ? std::string_view() : reply);
}

std::uint32_t next_random(Context& context) {
  context.random = context.random * 6364136223846793005ULL + 1442695040888963407ULL;
  return static_cast<std::uint32_t>(context.random >> 32U);
}

void answer_asker(Context& context, const Asker& asker, std::string_view bytes) {
  if (Session* session = context.sessions.find(asker.session)) {
    session->reply(asker.place, asker.silent ? std::string_view{} : bytes);
    session->wake_for_order();
    session->wake_for_output();
  }
}

void answer_asker(Context& context, const Asker& asker, const base::SharedBytes& bytes) {
  if (asker.silent) {
    answer_asker(context, asker, std::string_view{});
  } else if (Session* session = context.sessions.find(asker.session)) {
    session->reply(asker.place, bytes);
    session->wake_for_order();
    session->wake_for_output();
  }
}

void answer_nil(Context& context, const Asker& asker) {
  if (const Session* session = context.sessions.find(asker.session)) {
    std::string nil;
    resp::append_null(nil, session->state.version);
    answer_asker(context, asker, nil);
  }
}

}  // namespace pannier::proxy
