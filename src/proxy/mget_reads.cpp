#include "pannier/base/bytes.hpp"
#include "pannier/resp/reply_writer.hpp"

#include "cached_reads.hpp"
#include "request_handler.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

// MGET of classes that say `mget: true`: from memory when all its keys are there, else whole from
// upstream, whose elements are then kept one by one. It is never mixed from both: what is asked of
// upstream is one atomic view.
namespace pannier::proxy {
namespace {

const command::CommandSpec& get_row() {
  static const command::CommandSpec* const kGet = command::find("get");
  return *kGet;
}

// The elements of a complete array reply of bulks and nulls; empty when it is anything else.
std::vector<std::string_view> split_elements(std::string_view reply) {
  std::vector<std::string_view> out;
  const std::size_t header = reply.find("\r\n");
  if (header == std::string_view::npos || reply.front() != '*') {
    return out;
  }
  std::string_view rest = reply.substr(header + 2);
  while (!rest.empty()) {
    const std::size_t line = rest.find("\r\n");
    if (line == std::string_view::npos) {
      return {};
    }
    const auto length = base::parse_int(rest.substr(1, line - 1)).value_or(-1);
    const std::size_t size = rest.front() == '$' && length >= 0
                                 ? line + 2 + static_cast<std::size_t>(length) + 2
                                 : line + 2;
    if (size > rest.size() || (rest.front() != '$' && rest.front() != '_')) {
      return {};
    }
    out.push_back(rest.substr(0, size));
    rest.remove_prefix(size);
  }
  return out;
}

// The GETs that the MGET stands for; false when one of its keys may not be answered from memory.
bool identify_all(Context& context,
                  const Session& session,
                  std::span<const std::string_view> arguments,
                  std::vector<std::array<std::string_view, 2>>& gets,
                  std::vector<CachedRead>& reads) {
  gets.reserve(arguments.size());
  for (const std::string_view key : arguments.subspan(1)) {
    gets.push_back({"GET", key});
    CachedRead read;
    if (!identify_read(context, session, get_row(), gets.back(), read)) {
      return false;
    }
    const config::CacheRules& rules = *context.rules->at(read.query.key_class).cache;
    if (!rules.mget || rules.mode != config::RuleMode::Enforce) {
      return false;
    }
    reads.push_back(read);
  }
  return true;
}

// Appends what is kept; false: nothing fresh.
bool append_hit(Context& context, const CachedRead& read, std::string& out) {
  const cache::Hit hit = context.shared.near_cache.find(read.query, context.runtime.now);
  if (!hit || hit.freshness != cache::Freshness::Fresh) {
    return false;
  }
  if (hit.negative) {
    resp::append_null(out, read.version);
  } else {
    out += hit.bytes();
  }
  return true;
}

void count(Context& context, const std::vector<CachedRead>& reads, const MgetFill& fill) {
  for (std::size_t i = 0; i < reads.size(); ++i) {
    metrics::ClassMetrics& metrics = context.runtime.metrics.classes[reads[i].query.key_class];
    (fill.keys[i].kept ? metrics.hits
                       : metrics.misses.at(static_cast<std::size_t>(metrics::Miss::Absent)))
        .add();
  }
}

}  // namespace

Served serve_mget(Context& context,
                  Session& session,
                  std::span<const std::string_view> arguments,
                  MgetFill& fill) {
  if (session.listener().strong || is_bypassed(context) || arguments.size() < 2 ||
      arguments.size() - 1 > MgetFill::kMaxKeys || session.state.db > 255) {
    return Served::No;
  }
  std::vector<std::array<std::string_view, 2>> gets;
  std::vector<CachedRead> reads;
  if (!identify_all(context, session, arguments, gets, reads)) {
    return Served::No;
  }
  std::string out;
  resp::append_array_header(out, reads.size());
  bool all = session.reads.empty();
  fill.db = static_cast<std::uint8_t>(session.state.db);
  for (const CachedRead& read : reads) {
    const bool kept = append_hit(context, read, out);
    const bool repeated =
        std::any_of(fill.keys.begin(), fill.keys.end(), [&](const MgetFill::Key& key) {
          return key.hash == read.query.hash && key.name == read.query.key;
        });
    fill.keys.push_back({std::string(read.query.key), read.query.hash, kept, repeated, 0});
    all = all && kept;
  }
  count(context, reads, fill);
  if (all) {
    session.answer(out);
    return Served::Done;
  }
  return Served::Fill;
}

void begin_mget(Context& context, Session& session, upstream::Connection& lane, MgetFill& fill) {
  for (MgetFill::Key& key : fill.keys) {
    const std::array<std::string_view, 2> get{"GET", key.name};
    Fill one;
    one.kind = FlightKind::Element;
    if (!identify_read(context, session, get_row(), get, one.read)) {
      continue;
    }
    session.reads.push_back({one.read.query.hash, 0, session.next_place(), true});
    if (!key.kept && !key.repeated) {
      key.flight = begin_flight(context, lane, one);
      context.flights[key.flight].slots += 2;  // the MGET, and the hold until `follow_mget`
    }
  }
}

void follow_mget(Context& context, upstream::Connection& lane, const MgetFill& fill) {
  for (const MgetFill::Key& key : fill.keys) {
    if (key.flight != 0) {
      follow_flight(context, lane, key.flight);
      static_cast<void>(release_hold(context, key.flight));
    }
  }
}

void take_mget_reply(Context& context, upstream::SlotIndex index, std::string_view reply) {
  const upstream::Slot& slot = context.runtime.slots[index];
  leave_flight(context, {slot.session, slot.place, slot.silent, 0});
  const auto found = context.mgets.find(index);
  if (found == context.mgets.end()) {
    return;
  }
  const MgetFill fill = std::move(found->second);
  context.mgets.erase(found);
  const std::vector<std::string_view> elements = split_elements(reply);
  const bool whole = elements.size() == fill.keys.size();
  for (std::size_t i = 0; i < fill.keys.size(); ++i) {
    const MgetFill::Key& key = fill.keys[i];
    if (key.flight != 0) {
      take_element(context, key.flight, whole ? elements[i] : std::string_view{});
    } else if (whole && !key.repeated) {
      const cache::Query query{
          key.hash, key.name, {}, command::index_of(get_row()), fill.db, 0, policy::kNoClass};
      cache::Ticket ticket = context.shared.near_cache.begin(query);
      note_shown(context, query, ticket, elements[i]);
    }
  }
}

}  // namespace pannier::proxy
