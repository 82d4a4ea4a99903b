#pragma once

#include "pannier/proxy/context.hpp"
#include "pannier/proxy/flights.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

// Reads of cached classes: answered from the near cache, by a flight that is under way, or by one
// of their own whose reply is kept (design.md §4, behaviour §5). All of it on one worker's thread.
namespace pannier::proxy {

struct Failed;  // retries.hpp

enum class Served : std::uint8_t {
  No,    // not a read of a cached class, or the cache may not serve it: forward it plainly
  Done,  // answered, or joined
  Wait,  // not now: it would overtake an earlier read of the same session
  Fill   // forward it as a flight: `fill` says how
};

// How a forwarded read becomes a flight.
struct Fill {
  CachedRead read;
  FlightKind kind = FlightKind::Read;
  std::uint64_t digest = 0;  // Shadow: of what the cache would have answered; 0: nothing
};

[[nodiscard]] Served serve_cached(Context& context,
                                  Session& session,
                                  const command::CommandSpec& row,
                                  std::span<const std::string_view> arguments,
                                  Fill& fill);

// Whether this is a read that the near cache may keep, and of which class. False: it is not.
[[nodiscard]] bool identify_read(const Context& context,
                                 const Session& session,
                                 const command::CommandSpec& row,
                                 std::span<const std::string_view> arguments,
                                 CachedRead& read);

// Over many keys a lookup is memory latency: a batch's keys are fetched ahead of their turn.
void prefetch_batch(Context& context);

[[nodiscard]] bool is_bypassed(const Context& context);

// The same for MGET (see mget_reads.cpp). On Fill: call `begin_mget` before and `follow_mget`
// behind its sending, and `take_mget_reply` when its reply has come; "" when it is lost.
[[nodiscard]] Served serve_mget(Context& context,
                                Session& session,
                                std::span<const std::string_view> arguments,
                                MgetFill& fill);
void begin_mget(Context& context, Session& session, upstream::Connection& lane, MgetFill& fill);
void follow_mget(Context& context, upstream::Connection& lane, const MgetFill& fill);
void take_mget_reply(Context& context, upstream::SlotIndex index, std::string_view reply);

// Upstream is away: an answer whose time has passed, or whose coherence was lost, if its class
// allows that (`stale_if_error`, behaviour 5.4). Counted.
[[nodiscard]] std::optional<base::SharedBytes> find_stale(Context& context,
                                                          const CachedRead& read,
                                                          resp::Version version);

[[nodiscard]] bool is_nil(std::string_view reply);

// Somebody is about to be shown `reply` (see cache::NearCache::show), which `ticket` was taken for;
// none: it was too large to be held.
void note_shown(Context& context,
                const cache::Query& query,
                cache::Ticket& ticket,
                std::optional<std::string_view> reply);

// 32 bits, random enough for jitter and samples.
[[nodiscard]] std::uint32_t next_random(Context& context);

// A reply to one who asked, in its place; nothing when the session is gone.
void answer_asker(Context& context, const Asker& asker, std::string_view bytes);
void answer_asker(Context& context, const Asker& asker, const base::SharedBytes& bytes);
void answer_nil(Context& context, const Asker& asker);

// Opens the flight of a read that is about to be sent on `lane`; what must go in front of it is
// sent. The caller sends the read with this id and then calls `follow_flight`.
[[nodiscard]] Flights::Id begin_flight(Context& context,
                                       upstream::Connection& lane,
                                       const Fill& fill);
// The lane is gone, or what it was redirected to. The server knows its tracked keys by the
// connection that read them and forgets them with it: nobody guards any more what the lane has
// filled.
void forget_redirect(Context& context, const upstream::Connection& lane);
// Behind the read: asks for the key's own TTL. The flight may end in here.
void follow_flight(Context& context, upstream::Connection& lane, Flights::Id id);
// A flight of Pannier's own, without a session; 0 when no node can be reached.
[[nodiscard]] Flights::Id start_flight(Context& context, const Fill& fill);

// The reply of a flight that an MGET stands for; "": none came.
void take_element(Context& context, Flights::Id id, std::string_view reply);
// The asker waits no longer for a flight.
void leave_flight(Context& context, const Asker& asker);
// The function that held the flight (++slots) has done its part. False: it has ended.
bool release_hold(Context& context, Flights::Id id);
// Whoever has joined reads on its own: the reply is too large to hold, or its leader does not read.
void free_joiners(Context& context, Flights::Id id);
// One read for one asker, past the cache: its place is open already.
void read_alone(Context& context, const Flight& flight, const Asker& asker);

// Keys that are answered from memory look idle to the server, which would evict them first
// (behaviour 5.6): the hottest of them, in db 0, are touched now and then.
void touch_hot_keys(Context& context);

// What comes back for a slot with a flight. True: its session's reply was dealt with here.
[[nodiscard]] bool take_flight_reply(Context& context,
                                     upstream::Connection& connection,
                                     const upstream::Slot& slot_now,
                                     std::string_view bytes,
                                     bool last);
// Its connection is gone. True: its session's reply was dealt with here.
[[nodiscard]] bool lose_flight(Context& context, const upstream::Slot& slot, const Failed& failed);
// Its node keeps silent and another one may serve it: all who ask are handled again, the slot's
// session too. False: they have to wait.
[[nodiscard]] bool leave_silent_flight(Context& context,
                                       const upstream::Slot& slot,
                                       const Failed& failed);
// Its deadline has passed. True as above.
[[nodiscard]] bool time_out_flight(Context& context,
                                   const upstream::Slot& slot,
                                   std::string_view error);

// Answers all askers with an error. When upstream is `away`, they are handled again instead, or get
// what their class allows then (away_answers.hpp). True: the leader was dealt with; else it is the
// caller's to answer.
[[nodiscard]] bool fail_askers(
    Context& context, Flights::Id id, const Asker& leader, const Failed& failed, bool away);

// Upstream has nothing for this asker's key: it gets nil, or waits for the holder of the lease.
// True: somebody is filling it.
[[nodiscard]] bool settle_nil(Context& context, const Flight& flight, const Asker& asker);
// The wait is over. False: it was before, and its place is answered.
[[nodiscard]] bool end_lease_wait(Context& context, std::uint64_t token, metrics::LeaseEnd end);
// Lease waits of a session that sends another request; `is_write`: which may be the fill.
void skip_lease_waits(Context& context, Session& session, bool is_write);
// The session is going: its waits end, its leases pass on.
void forget_reads(Context& context, Session& session);
// Those that cache::Leases named ask upstream again, each on its own worker.
void wake_parties(Context& context, const std::vector<cache::Party>& woken);

}  // namespace pannier::proxy
