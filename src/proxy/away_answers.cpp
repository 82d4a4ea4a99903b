#include "away_answers.hpp"

#include "pannier/resp/reply_writer.hpp"

#include "absent_reply.hpp"
#include "cached_reads.hpp"
#include "key_class.hpp"
#include "miss_room.hpp"
#include "request_handler.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

namespace pannier::proxy {
namespace {

using command::CommandSpec;
using config::OnError;
using metrics::AwayAnswer;
using Arguments = std::span<const std::string_view>;
using Answer = std::optional<base::SharedBytes>;

// The topology is what the last probe saw; that connecting fails is known at once.
bool can_serve(const Context& context, const route::Node& node) {
  return (node.ready || node.spare) && !node.is_refused() && context.lanes.away(node.id).empty();
}

bool replica_can_serve(const Context& context) {
  const route::Topology& topology = *context.topology;
  return std::any_of(topology.nodes.begin(), topology.nodes.end(), [&](const route::Node& node) {
    return node.role == route::Role::Replica && node.id != topology.primary &&
           can_serve(context, node);
  });
}

// A ready node that must not show a key yet (read-your-writes) is one too: that key is not missing.
bool some_node_can_serve(const Context& context,
                         const Session* session,
                         policy::ClassId key_class) {
  return !primary_is_away(context) ||
         (reads_now(context, session, key_class) != config::Reads::Primary &&
          replica_can_serve(context));
}

void count(Context& context, policy::ClassId key_class, AwayAnswer answer, bool enforced) {
  metrics::ClassMetrics& metrics = context.runtime.metrics.classes[key_class];
  (enforced ? metrics.away_answers : metrics.away_observed)
      .at(static_cast<std::size_t>(answer))
      .add();
}

// What `on_error` of a class makes of one of its keys.
enum class Verdict : std::uint8_t {
  Fail,
  Nil,
  Capped
};

void note_observed(Context& context,
                   const Session* session,
                   const CommandSpec& row,
                   policy::ClassId key_class) {
  const config::PolicyClass& rules = context.rules->at(key_class);
  if (!primary_is_away(context)) {
    return;
  }
  const bool from_primary = class_reads(context, session, key_class) == config::Reads::Primary;
  if (rules.on_error == OnError::Stale && from_primary && replica_can_serve(context) &&
      command::replica_safe(row, {})) {
    count(context, key_class, AwayAnswer::Replica, false);
  } else if (rules.on_error == OnError::Miss && may_be_synthetic_nil(row) &&
             !some_node_can_serve(context, session, key_class)) {
    count(context, key_class, AwayAnswer::Nil, false);
  }
}

Verdict judge(Context& context,
              const AwayRead& read,
              policy::ClassId key_class,
              std::uint64_t hash) {
  const config::PolicyClass& rules = context.rules->at(key_class);
  if (rules.on_error == OnError::Fail) {
    return Verdict::Fail;
  }
  if (rules.mode != config::RuleMode::Enforce) {
    note_observed(context, read.session, read.row, key_class);
    return Verdict::Fail;
  }
  if (rules.on_error != OnError::Miss || !may_be_synthetic_nil(read.row) ||
      some_node_can_serve(context, read.session, key_class)) {
    return Verdict::Fail;
  }
  return take_room(context, rules, key_class, hash) ? Verdict::Nil : Verdict::Capped;
}

// Not a miss: the database would have more to do than the class allows (behaviour 6.2).
base::SharedBytes refuse_capped(Context& context, policy::ClassId key_class) {
  const config::PolicyClass& rules = context.rules->at(key_class);
  count(context, key_class, AwayAnswer::Capped, true);
  context.runtime.metrics.refusals.at(static_cast<std::size_t>(metrics::Refusal::NotSent)).add();
  std::string out;
  resp::append_error(
      out,
      fmt::format("UPSTREAM no node serves class '{}', and {} of its clients are at their database "
                  "already (miss.concurrent) (not sent)",
                  rules.name,
                  rules.miss->concurrent));
  return base::SharedBytes::copy_of(out);
}

Answer answer_one(Context& context, const AwayRead& read, policy::ClassId key_class) {
  if (read.read != nullptr) {
    if (Answer stale = find_stale(context, *read.read, read.version)) {
      count(context, key_class, AwayAnswer::Stale, true);
      return stale;
    }
  }
  const std::uint64_t hash = cache::NearCache::hash(read.arguments[1]);
  switch (judge(context, read, key_class, hash)) {
    case Verdict::Fail:
      break;
    case Verdict::Capped:
      return refuse_capped(context, key_class);
    case Verdict::Nil: {
      std::string out;
      if (append_absent_reply(out, read.row, read.arguments, read.version)) {
        count(context, key_class, AwayAnswer::Nil, true);
        return base::SharedBytes::copy_of(out);
      }
    }
  }
  return std::nullopt;
}

// An MGET that is put together key by key: what `mget: true` lets memory say, and nils.
class ManyAway {
 public:
  ManyAway(Context& context, const AwayRead& read) : context_(context), read_(read) {}

  [[nodiscard]] Answer run() {
    resp::append_array_header(out_, read_.arguments.size() - 1);
    for (const std::string_view key : read_.arguments.subspan(1)) {
      if (!add(key)) {
        give_back();
        return capped_ == policy::kNoClass ? std::nullopt
                                           : Answer(refuse_capped(context_, capped_));
      }
    }
    for (const policy::ClassId key_class : stale_) {
      count(context_, key_class, AwayAnswer::Stale, true);
    }
    for (const auto& [key_class, hash] : nils_) {
      count(context_, key_class, AwayAnswer::Nil, true);
    }
    return base::SharedBytes::copy_of(out_);
  }

 private:
  bool add(std::string_view key) {
    const policy::ClassId key_class = context_.rules->matcher.match(key);
    if (key_class == policy::kNoClass) {
      return false;
    }
    if (add_stale(key, key_class)) {
      return true;
    }
    const std::uint64_t hash = cache::NearCache::hash(key);
    const Verdict verdict = judge(context_, read_, key_class, hash);
    if (verdict == Verdict::Nil) {
      nils_.emplace_back(key_class, hash);
      resp::append_null(out_, read_.version);
    }
    capped_ = verdict == Verdict::Capped ? key_class : capped_;
    return verdict == Verdict::Nil;
  }

  bool add_stale(std::string_view key, policy::ClassId key_class) {
    static const CommandSpec* const kGet = command::find("get");
    const config::PolicyClass& rules = context_.rules->at(key_class);
    const std::array<std::string_view, 2> get{"GET", key};
    CachedRead read;
    if (!rules.cache || !rules.cache->mget || read_.session == nullptr ||
        !identify_read(context_, *read_.session, *kGet, get, read)) {
      return false;
    }
    const auto stale = find_stale(context_, read, read_.version);
    if (stale) {
      out_ += stale->view();
      stale_.push_back(key_class);
    }
    return stale.has_value();
  }

  // The whole of it fails: no client goes to its database for a part.
  void give_back() {
    std::vector<cache::Party> woken;
    for (const auto& [key_class, hash] : nils_) {
      context_.shared.miss_cap.give_back(key_class, hash, woken);
    }
    wake_parties(context_, woken);
  }

  Context& context_;
  const AwayRead& read_;
  std::string out_;
  std::vector<policy::ClassId> stale_;
  std::vector<std::pair<policy::ClassId, std::uint64_t>> nils_;
  policy::ClassId capped_ = policy::kNoClass;
};

policy::ClassId class_of_first(Context& context, const CommandSpec& row, Arguments arguments) {
  context.keys.clear();
  return command::extract_keys(row, arguments, context.keys) == command::KeyStatus::Unknown ||
                 context.keys.empty()
             ? policy::kNoClass
             : context.rules->matcher.match(context.keys.front());
}

bool is_mget(const CommandSpec& row) {
  static const CommandSpec* const kMget = command::find("mget");
  return &row == kMget;
}

}  // namespace

bool primary_is_away(const Context& context) {
  const route::Topology& topology = *context.topology;
  return !topology.has_primary() || !can_serve(context, topology.nodes[topology.primary]);
}

config::Reads reads_now(const Context& context, const Session* session, policy::ClassId key_class) {
  const config::Reads reads = class_reads(context, session, key_class);
  if (reads != config::Reads::Primary || !context.rules->any_stale) {
    return reads;
  }
  const bool strong = session != nullptr && session->listener().strong;
  return !strong && key_class != policy::kNoClass &&
                 policy::serves_stale(context.rules->at(key_class)) && primary_is_away(context)
             ? config::Reads::SameZone
             : reads;
}

void count_replica_read(Context& context, const CommandSpec& row, Arguments arguments) {
  const policy::ClassId key_class = class_of_first(context, row, arguments);
  if (key_class != policy::kNoClass) {
    count(context, key_class, AwayAnswer::Replica, true);
  }
}

Answer find_away_answer(Context& context, const AwayRead& read) {
  if (!read.row.has(command::kReadOnly) || read.arguments.size() < 2 ||
      !command::arity_fits(read.row, read.arguments.size()) ||
      (read.session != nullptr && read.session->listener().strong)) {
    return std::nullopt;
  }
  if (is_mget(read.row)) {
    return ManyAway(context, read).run();
  }
  const policy::ClassId key_class = class_of_first(context, read.row, read.arguments);
  return key_class == policy::kNoClass ? std::nullopt : answer_one(context, read, key_class);
}

bool answer_away(Context& context,
                 Session& session,
                 const CommandSpec& row,
                 std::span<const std::string_view> arguments) {
  CachedRead cached;
  const bool is_cached = row.has(command::kReadOnly) && arguments.size() > 1 &&
                         identify_read(context, session, row, arguments, cached);
  const Answer answer = find_away_answer(
      context, {row, arguments, session.state.version, &session, is_cached ? &cached : nullptr});
  if (answer) {
    session.answer(*answer);
  }
  return answer.has_value();
}

bool answer_away(Context& context, const AwayRead& read, const Asker& asker) {
  const Answer answer = find_away_answer(context, read);
  if (answer) {
    answer_asker(context, asker, *answer);
  }
  return answer.has_value();
}

bool answer_away(Context& context, const CachedRead& read, const Asker& asker) {
  const Session* session = context.sessions.find(asker.session);
  const AwayRead away{*read.row, read.arguments, read.version, session, &read};
  return session != nullptr && answer_away(context, away, asker);
}

bool may_be_synthetic_nil(const CommandSpec& row) {
  static const std::array<const CommandSpec*, 5> kRows{command::find("get"),
                                                       command::find("mget"),
                                                       command::find("hget"),
                                                       command::find("hmget"),
                                                       command::find("hgetall")};
  return std::find(kRows.begin(), kRows.end(), &row) != kRows.end();
}

}  // namespace pannier::proxy
