#include "ttl_requests.hpp"

#include "pannier/base/bytes.hpp"
#include "pannier/base/log.hpp"
#include "pannier/resp/request_parser.hpp"

#include "absent_reply.hpp"
#include "cached_reads.hpp"
#include "introspection.hpp"
#include "request_handler.hpp"
#include "write_marks.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>

namespace pannier::proxy {
namespace {

using command::CommandSpec;
using metrics::TtlAction;
using Arguments = std::span<const std::string_view>;
using Outcome = policy::TtlPlan::Outcome;

void count(Context& context, policy::ClassId key_class, TtlAction action, bool enforced) {
  metrics::ClassMetrics& metrics = context.runtime.metrics.classes[key_class];
  (enforced ? metrics.ttl_applied : metrics.ttl_observed)
      .at(static_cast<std::size_t>(action))
      .add();
}

void count_plan(Context& context) {
  for (const policy::TtlCount& each : context.ttl.plan.counts) {
    count(context, each.key_class, each.action, each.enforced);
  }
}

std::int64_t unix_milliseconds() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

bool may_read_replies(const Session& session) {
  return session.state.version == resp::Version::Resp3 || !session.pinned.subscribed();
}

// Counters cannot live in such a class: whoever counts there means something else by it.
void warn_of_counter(Context& context, policy::ClassId key_class, const CommandSpec& row) {
  auto& warned = context.ttl.warned;
  if ((row.name.starts_with("incr") || row.name.starts_with("decr")) &&
      std::find(warned.begin(), warned.end(), key_class) == warned.end()) {
    warned.push_back(key_class);
    base::log_warn("policy",
                   "class {} is `store: never`, but a client counts in it with {}; that is refused",
                   context.rules->at(key_class).name,
                   row.name);
  }
}

std::string refusal_text(const Context& context, const CommandSpec& row) {
  const policy::TtlPlan& plan = context.ttl.plan;
  const std::string& name = context.rules->at(plan.refused_by).name;
  switch (plan.refusal) {
    case TtlAction::Required:
      return fmt::format(
          "NOTSTORED [pannier class={}] keys of this class must be stored with a TTL", name);
    case TtlAction::Script:
      return fmt::format("NOPERM [pannier class={}] scripts may not touch keys of this class",
                         name);
    default:
      return fmt::format(
          "NOTSTORED [pannier class={}] '{}': keys of this class are never stored; ask where they "
          "come from",
          name,
          row.name);
  }
}

void refuse_planned(Context& context, Session& session, const CommandSpec& row) {
  count_plan(context);
  if (context.ttl.plan.refusal == TtlAction::NotStored) {
    warn_of_counter(context, context.ttl.plan.refused_by, row);
  }
  if (session.pinned.multi) {
    fail_transaction(session);
  }
  refuse(context, session, metrics::Refusal::Denied, refusal_text(context, row));
}

// A read of `store: never`, unless somebody's transaction or subscription is to see it.
bool answer_absent(Context& context,
                   Session& session,
                   const CommandSpec& row,
                   Arguments arguments) {
  if (session.pinned.multi) {
    return false;
  }
  context.keys.clear();
  if (command::extract_keys(row, arguments, context.keys) == command::KeyStatus::Unknown ||
      context.keys.empty()) {
    return false;
  }
  const policy::ClassId id = class_of(context, context.keys.front());
  if (id == policy::kNoClass || context.rules->at(id).store != config::Store::Never) {
    return false;
  }
  bool acts = true;
  for (const std::string_view key : context.keys) {
    const policy::ClassId other = context.rules->matcher.match(key);
    if (other == policy::kNoClass || context.rules->at(other).store != config::Store::Never) {
      return false;
    }
    acts = acts && policy::refuses_stores(context.rules->at(other));
  }
  context.text.clear();
  if (!append_absent_reply(context.text, row, arguments, session.state.version)) {
    return false;
  }
  count(context, id, TtlAction::NotRead, acts);
  if (acts) {
    session.answer(context.text);
  }
  return acts;
}

bool knows_conditions(const Context& context) {
  const std::string_view version = context.topology->server_version;
  const std::string_view major = version.substr(0, version.find('.'));
  return base::parse_int(major).value_or(7) >= 7;
}

void encode(std::string& out, const policy::TtlAddition& addition, bool has_conditions) {
  const fmt::format_int ms(addition.ms);
  const std::string_view digits{ms.data(), ms.size()};
  const std::string_view word = addition.is_bound ? "LT" : "NX";
  out.clear();
  if (has_conditions) {
    const std::array<std::string_view, 4> request{"PEXPIRE", addition.key, digits, word};
    resp::append_request(out, request);
  } else {
    const std::array<std::string_view, 6> request{
        "EVAL", policy::kExpireScript, "1", addition.key, digits, word};
    resp::append_request(out, request);
  }
}

// As in flight of the session that it was sent for, so that this one keeps to the connection.
void bind(Context& context,
          Session* session,
          upstream::Connection& connection,
          upstream::Slot& slot) {
  if (session == nullptr) {
    return;
  }
  if (session->pinned.connection == &connection) {
    ++session->pinned.in_flight;
  } else if (context.lanes.owns(connection)) {
    Binding& binding = session->binding(connection.node());
    ++binding.in_flight;
    ++binding.writes;
  } else {
    return;
  }
  slot.session = session->ref();
}

struct Added {
  std::string_view request;
  policy::ClassId key_class = policy::kNoClass;
  std::uint64_t key_hash = 0;
};

void send_added(Context& context,
                Session* session,
                upstream::Connection& connection,
                const Added& added) {
  static const std::uint16_t kRow = metrics_index(*command::find("pexpire"));
  const upstream::SlotIndex index = take_slot(context, connection, kRow);
  upstream::Slot& slot = context.runtime.slots[index];
  slot.fate = upstream::Fate::Swallow;
  slot.purpose = upstream::Purpose::Ttl;
  slot.is_write = true;
  slot.key_class = added.key_class;
  bind(context, session, connection, slot);
  if (session != nullptr && session->pinned.multi && session->pinned.connection == &connection) {
    TtlTransaction& transaction = session->pinned.queued;
    transaction.places.push_back({transaction.queued++, true});
    slot.in_multi = true;
  } else {
    mark_added(context, index, added.key_hash);
  }
  connection.metrics().requests.add();
  static_cast<void>(hand_over(context, connection, index, added.request));
}

TtlFollowers make_followers(const Context& context, std::uint32_t db) {
  TtlFollowers out;
  out.after_stored = context.ttl.plan.after_stored;
  if (const auto& life = context.ttl.plan.life; life && context.ttl.plan.life_if_stored) {
    out.life = TtlStoredLife{std::string(life->key), db, life->key_class, life->ms};
  }
  for (const policy::TtlAddition& each : context.ttl.plan.additions) {
    TtlFollower& follower = out.all.emplace_back();
    encode(follower.request, each, knows_conditions(context));
    follower.key_class = each.key_class;
    follower.key_hash = route::RecentWrites::hash(each.key);
  }
  return out;
}

void send_followers(Context& context,
                    Session* session,
                    upstream::Connection& connection,
                    const TtlFollowers& followers) {
  for (const TtlFollower& each : followers.all) {
    send_added(context, session, connection, {each.request, each.key_class, each.key_hash});
  }
}

// The reply says that something was stored. `type`: of the whole reply, of which `bytes` may be the
// end only.
bool has_stored(std::string_view bytes, char type, bool is_part) {
  switch (type) {
    case '-':
    case '_':
      return false;
    case ':':
      return !bytes.starts_with(":0") && !bytes.starts_with(":-");
    default:
      return is_part || !(bytes.starts_with("$-1") || bytes.starts_with("*-1"));
  }
}

}  // namespace

bool answer_by_rules(Context& context,
                     Session& session,
                     const CommandSpec& row,
                     Arguments arguments,
                     std::size_t announced) {
  const policy::TtlForm form = policy::ttl_form(row);
  if (!may_read_replies(session)) {
    return false;
  }
  if (form == policy::TtlForm::None) {
    return context.rules->any_never && row.has(command::kReadOnly) && announced == 0 &&
           answer_absent(context, session, row, arguments);
  }
  policy::TtlRequest request;
  request.row = &row;
  request.arguments = arguments;
  request.announced = announced;
  request.in_multi = session.pinned.multi;
  request.random = next_random(context);
  if (form != policy::TtlForm::Other) {
    request.unix_now = unix_milliseconds();
    request.has_conditions = knows_conditions(context);
  }
  if (arguments.size() > 1 && row.first == 1) {
    request.first = class_of(context, arguments[1]);
  }
  policy::plan_ttl(*context.rules, request, context.ttl.plan);
  if (context.ttl.plan.outcome == Outcome::Refuse) {
    refuse_planned(context, session, row);
    return true;
  }
  context.ttl.planned = !context.ttl.plan.is_idle();
  return false;
}

std::string_view planned_frame(Context& context, const Outgoing& out) {
  if (context.ttl.plan.outcome != Outcome::Rewrite) {
    return out.frame;
  }
  context.ttl.frame.clear();
  resp::append_request(context.ttl.frame, context.ttl.plan.arguments);
  return context.ttl.frame;
}

void plan_reply(Context& context, Session& session, upstream::Slot& slot) {
  if (!context.ttl.plan.answers_integer) {
    return;
  }
  if (session.pinned.multi) {
    session.pinned.queued.places.push_back({session.pinned.queued.queued - 1, false});
  } else {
    slot.fate = upstream::Fate::Whole;
    slot.purpose = upstream::Purpose::SetNx;
  }
}

void follow_plan(Context& context,
                 Session& session,
                 upstream::Connection& connection,
                 upstream::SlotIndex index,
                 const Outgoing& out) {
  const policy::TtlPlan& plan = context.ttl.plan;
  count_plan(context);
  if (plan.life && !plan.life_if_stored) {
    note_life(context, session.state.db, *plan.life);
  }
  if (plan.additions.empty() && !plan.life_if_stored) {
    return;
  }
  if (plan.after_stored || plan.life_if_stored || out.announced > out.arguments.size()) {
    context.ttl.followers[index] = make_followers(context, session.state.db);
    context.runtime.slots[index].has_ttl = true;
    return;
  }
  const bool has_conditions = knows_conditions(context);
  for (const policy::TtlAddition& each : plan.additions) {
    encode(context.ttl.added, each, has_conditions);
    send_added(context,
               &session,
               connection,
               {context.ttl.added, each.key_class, route::RecentWrites::hash(each.key)});
  }
}

void note_queued(Context& context,
                 Session& session,
                 upstream::SlotIndex index,
                 const Outgoing& out) {
  PinnedState& pinned = session.pinned;
  if (pinned.multi) {
    const bool runs_at_once =
        out.row->handling == command::Handling::Transaction && out.row->name != "unwatch";
    pinned.queued.queued += runs_at_once ? 0 : 1;
  } else if (out.purpose == upstream::Purpose::Exec && !pinned.queued.places.empty()) {
    context.runtime.slots[index].has_ttl = true;
    context.ttl.transactions[index] = ExecReply{std::exchange(pinned.queued, {})};
  }
}

void follow_upload(Context& context, Session& session, upstream::SlotIndex index) {
  const auto found = context.ttl.followers.find(index);
  if (found == context.ttl.followers.end() || found->second.after_stored) {
    return;
  }
  const TtlFollowers followers = std::move(found->second);
  context.ttl.followers.erase(found);
  send_followers(context, &session, *session.pinned.connection, followers);
}

void take_stored_reply(Context& context,
                       upstream::Connection& connection,
                       upstream::SlotIndex index,
                       std::string_view bytes,
                       char type) {
  const auto found = context.ttl.followers.find(index);
  if (found == context.ttl.followers.end()) {
    return;
  }
  const TtlFollowers followers = std::move(found->second);
  context.ttl.followers.erase(found);
  const upstream::Slot slot = context.runtime.slots[index];
  if (!has_stored(bytes, type, slot.started)) {
    return;
  }
  if (const auto& life = followers.life) {
    note_life(context, life->db, {life->key, life->key_class, life->ms, true});
  }
  if (followers.after_stored) {
    send_followers(context, context.sessions.find(slot.session), connection, followers);
  }
}

void forget_followers(Context& context, upstream::SlotIndex index, bool was_lost) {
  context.ttl.transactions.erase(index);
  const auto found = context.ttl.followers.find(index);
  if (found == context.ttl.followers.end()) {
    return;
  }
  if (was_lost) {
    for (const TtlFollower& each : found->second.all) {
      context.runtime.metrics.classes[each.key_class].ttl_unapplied.add();
    }
  }
  context.ttl.followers.erase(found);
}

namespace {

// Said now and then: a missing permission refuses each of them.
void warn_of_refusal(Context& context, const upstream::Slot& slot, std::string_view bytes) {
  if (context.runtime.now < context.ttl.next_refusal_log) {
    return;
  }
  context.ttl.next_refusal_log = context.runtime.now + std::chrono::minutes(1);
  base::log_warn("ttl",
                 "class {}: the server refuses what is added behind a store: {}; keys stay without "
                 "their TTL, and a transaction with such a store fails. `pannier check` tells the "
                 "permissions that the rules need (said at most once a minute; "
                 "pannier_ttl_unapplied_total counts all)",
                 context.rules->at(slot.key_class).name,
                 bytes.substr(1, bytes.find('\r') - 1));
}

}  // namespace

void take_added_reply(Context& context, const upstream::Slot& slot, std::string_view bytes) {
  const bool good = slot.in_multi ? bytes.starts_with("+QUEUED") : bytes.starts_with(':');
  if (good) {
    return;
  }
  context.runtime.metrics.classes[slot.key_class].ttl_unapplied.add();
  if (bytes.starts_with('-')) {
    warn_of_refusal(context, slot, bytes);
  }
  Session* session = context.sessions.find(slot.session);
  if (slot.in_multi && session != nullptr && session->pinned.multi) {
    fail_transaction(*session);
  }
}

}  // namespace pannier::proxy
