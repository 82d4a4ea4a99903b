#include "history_checker.hpp"

#include <algorithm>
#include <charconv>
#include <sstream>

namespace pannier::test {

namespace {

using Clock = std::chrono::steady_clock;
using TimePoint = HistoryKey::TimePoint;

constexpr unsigned kEraShift = 40;
constexpr std::size_t kEvents = 60;

Order first_of(unsigned era) {
  return Order{era} << kEraShift;
}

std::string shown(Order order) {
  if (order == 0) {
    return "nothing";
  }
  std::string out = std::to_string(order >> kEraShift) + "/" +
                    std::to_string((order & ((Order{1} << kEraShift) - 1)) >> 1U);
  return out + ((order & 1U) != 0 ? " gone" : "");
}

double milliseconds(Clock::duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

void note(HistoryKey& key, char what, Place place, Order order) {
  key.events.push_back({Clock::now(), what, place, order});
  if (key.events.size() > kEvents) {
    key.events.pop_front();
  }
}

// What was acknowledged up to then.
Order acknowledged_by(const HistoryKey& key, TimePoint at) {
  const auto after = std::upper_bound(
      key.acknowledged.begin(),
      key.acknowledged.end(),
      at,
      [](TimePoint time, const HistoryKey::Acknowledged& each) { return time < each.at; });
  return after == key.acknowledged.begin() ? 0 : std::prev(after)->order;
}

// The next part of a text whose parts end with '|'; false when it does not end.
bool take_part(std::string_view& text, std::string_view& part) {
  const std::size_t end = text.find('|');
  if (end == std::string_view::npos) {
    return false;
  }
  part = text.substr(0, end);
  text.remove_prefix(end + 1);
  return true;
}

bool take_number(std::string_view& text, std::uint64_t& number) {
  std::string_view part;
  if (!take_part(text, part)) {
    return false;
  }
  const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), number);
  return error == std::errc() && end == part.data() + part.size();
}

std::vector<double> sorted(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values;
}

}  // namespace

HistoryKeyPtr HistoryChecker::make_key(std::string name, char filling, bool counted) const {
  auto key = std::make_shared<HistoryKey>();
  key->name = std::move(name);
  key->filling = filling;
  key->counted = counted;
  return key;
}

Order HistoryChecker::order_of(unsigned era, std::uint64_t number) const {
  return first_of(era) + (number << 1U);
}

HistoryChecker::Read HistoryChecker::begin_read(const HistoryKeyPtr& key,
                                                Place place,
                                                char how) const {
  Read read{key, place, Clock::now(), key->floors.at(place), losses_, how};
  if (place == kDirect && !key->acknowledged.empty()) {
    Order& floor = read.floors.acknowledged;
    floor = std::max(floor, key->acknowledged.back().order);
  }
  note(*key, 'r', place, read.floors.most());
  return read;
}

HistoryChecker::Seen HistoryChecker::parse(const HistoryKey& key,
                                           std::string_view text,
                                           bool whole) const {
  if (text.empty()) {
    return {true, 0};
  }
  const std::string_view all = text;
  std::string_view name;
  std::uint64_t era = 0;
  std::uint64_t number = 0;
  std::uint64_t place = 0;
  std::uint64_t padding = 0;
  if (!take_part(text, name) || name != key.name || !take_number(text, era) ||
      !take_number(text, number) || !take_number(text, place) || !take_number(text, padding) ||
      era == 0 || era > era_ || place >= kPlaces) {
    fail(key, "not a value of this key: " + std::string(all.substr(0, 200)));
  }
  if ((whole ? text.size() != padding : text.size() > padding) ||
      text.find_first_not_of(key.filling) != std::string_view::npos) {
    fail(key, "a damaged value: " + std::string(all.substr(0, 200)));
  }
  return {false, order_of(static_cast<unsigned>(era), number)};
}

void HistoryChecker::end_read(const Read& read, std::string_view text, bool whole, Floors& known) {
  HistoryKey& key = *read.key;
  ++reads_.at(read.place);
  Seen seen = parse(key, text, whole);
  if (rests(read.losses)) {
    note(key, read.how, read.place, seen.order);
    return;
  }
  const Order old = acknowledged_by(key, read.sent - kVisibleWithin);
  const Order wanted =
      std::max({first_of(era_), read.floors.of(read.is_range()), known.of(read.is_range()), old});
  if (seen.missing && wanted == first_of(era_)) {
    seen.order = wanted;
  } else if (seen.missing) {
    const auto now = Clock::now();
    const auto first = std::partition_point(
        key.gone.begin(), key.gone.end(), [&](const auto& each) { return each.order < wanted; });
    const auto gone =
        std::find_if(first, key.gone.end(), [&](const auto& each) { return each.from <= now; });
    seen.order = gone == key.gone.end() ? 0 : gone->order;
  }
  note(key, read.how, read.place, seen.order);
  if (seen.order < wanted) {
    fail(key,
         std::string(seen.missing ? "missing" : "read " + shown(seen.order)) +
             "; shown or acknowledged there: " + shown(read.floors.of(read.is_range())) +
             ", told the connection: " + shown(known.of(read.is_range())) +
             ", acknowledged long ago: " + shown(old));
  }
  if (!key.counted && !seen.missing && seen.order > key.newest) {
    fail(key, "read " + shown(seen.order) + ", which nobody wrote");
  }
  key.newest = std::max(key.newest, seen.order);
  overtaken_reads_ += seen.order < std::max(read.floors.most(), known.most()) ? 1 : 0;
  known.raise(read.is_range(), seen.order);
  key.floors.at(read.place).raise(read.is_range(), seen.order);
  // Which of several deletions is shown cannot be told: it is judged by the first that fits, and
  // measured by the last one.
  const bool is_gone = seen.missing && !key.gone.empty();
  measure(read, is_gone ? std::max(seen.order, key.gone.back().order) : seen.order);
}

void HistoryChecker::measure(const Read& read, Order seen) {
  if (read.place == kDirect) {
    return;
  }
  auto& unseen = read.key->unseen.at(read.place);
  bool stale = false;
  for (auto each = unseen.begin(); each != unseen.end();) {
    if (each->order > seen) {
      if (each->acknowledged < read.sent) {
        each->last_stale = std::max(each->last_stale.value_or(read.sent), read.sent);
        stale = true;
      }
      ++each;
      continue;
    }
    const double lag = each->last_stale ? milliseconds(*each->last_stale - each->acknowledged) : 0;
    all_lags_.push_back(lag);
    if (each->calm && !is_disturbed()) {
      calm_lags_.push_back(lag);
    }
    each = unseen.erase(each);
  }
  stale_reads_ += stale ? 1 : 0;
}

HistoryChecker::Write HistoryChecker::begin_write(const HistoryKeyPtr& key,
                                                  Place place,
                                                  WriteKind kind) const {
  Write write{key, place, 0, Clock::now(), losses_};
  key->busy = true;
  if (!key->counted) {
    const bool removes = kind == WriteKind::Delete;
    write.order = order_of(era_, ++key->number) | (removes ? 1U : 0U);
    if (kind != WriteKind::Store) {
      const auto life = removes ? std::chrono::milliseconds(0) : kLife;
      constexpr auto kRounding = std::chrono::milliseconds(5);
      key->gone.push_back({write.order | 1U, write.sent + life - kRounding});
    }
    key->newest = write.order | 1U;
  }
  note(*key, 'w', place, write.order);
  return write;
}

std::string HistoryChecker::value(const Write& write, std::size_t padding) const {
  const HistoryKey& key = *write.key;
  return key.name + "|" + std::to_string(write.order >> kEraShift) + "|" +
         std::to_string(key.number) + "|" + std::to_string(write.place) + "|" +
         std::to_string(padding) + "|" + std::string(padding, key.filling);
}

void HistoryChecker::end_write(const Write& write, Floors& known, std::uint64_t number) {
  HistoryKey& key = *write.key;
  key.busy = false;
  const Order order = key.counted ? order_of(era_, number) : write.order;
  note(key, 'a', write.place, order);
  if (rests(write.losses)) {
    return;
  }
  known.acknowledged = std::max(known.acknowledged, order);
  key.newest = std::max(key.newest, order);
  Order& floor = key.floors.at(write.place).acknowledged;
  floor = std::max(floor, order);
  if (!key.acknowledged.empty() && key.acknowledged.back().order >= order) {
    return;  // a later one was acknowledged before
  }
  const auto now = Clock::now();
  key.acknowledged.push_back({order, now});
  if (key.acknowledged.size() > 1000) {
    key.acknowledged.pop_front();
  }
  for (const Place place : {kFirst, kSecond}) {
    if (place != write.place) {
      key.unseen.at(place).push_back({order, now, std::nullopt, !is_disturbed()});
    }
  }
}

void HistoryChecker::lose_write(const Write& write) const {
  note(*write.key, 'x', write.place, write.order);
  write.key->busy = false;
  write.key->retired = write.key->retired || !write.key->counted;
}

void HistoryChecker::disturb_until(TimePoint until) {
  disturbed_until_ = std::max(disturbed_until_, until);
}

bool HistoryChecker::is_disturbed() const {
  return in_loss_ || Clock::now() < disturbed_until_;
}

void HistoryChecker::begin_loss() {
  in_loss_ = true;
  ++losses_;
  ++era_;
}

void HistoryChecker::end_loss() {
  in_loss_ = false;
  ++losses_;
}

std::vector<double> HistoryChecker::calm_lags() const {
  return sorted(calm_lags_);
}

std::vector<double> HistoryChecker::all_lags() const {
  return sorted(all_lags_);
}

void HistoryChecker::fail(const HistoryKey& key, const std::string& what) const {
  static constexpr std::array<const char*, kPlaces> kNames{"first", "second", "direct"};
  std::ostringstream text;
  text << key.name << ": " << what << "\nits last events, in ms:";
  const auto now = Clock::now();
  for (const auto& event : key.events) {
    text << "\n  " << -milliseconds(now - event.at) << " " << event.what << " "
         << kNames.at(event.place) << " " << shown(event.order);
  }
  throw HistoryError(text.str());
}

}  // namespace pannier::test
