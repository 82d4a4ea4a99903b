#include "pannier/proxy/flights.hpp"

#include <algorithm>
#include <utility>

namespace pannier::proxy {
namespace {

// Copies the arguments into `words` and makes views of the copy.
void keep_arguments(std::span<const std::string_view> arguments,
                    std::string& words,
                    std::vector<std::string_view>& views) {
  words.clear();
  for (const std::string_view argument : arguments) {
    words += argument;
  }
  views.clear();
  std::size_t begin = 0;
  for (const std::string_view argument : arguments) {
    views.push_back(std::string_view(words).substr(begin, argument.size()));
    begin += argument.size();
  }
}

// For reuse. A large one is freed here: a short string that is moved into it would leave it its
// memory.
void keep_small(std::string& old, std::string& fresh) {
  constexpr std::size_t kKeptCapacity = 4096;
  if (old.capacity() <= kKeptCapacity) {
    fresh = std::move(old);
    fresh.clear();
  } else {
    std::string().swap(old);
  }
}

}  // namespace

std::uint64_t CachedRead::identity() const {
  return cache::NearCache::identity(query) + static_cast<std::uint64_t>(version);
}

CachedRead Flight::read() const {
  CachedRead out;
  out.row = row;
  out.arguments = arguments;
  out.query.hash = hash;
  out.query.key = arguments[1];
  out.query.rest = out.arguments.subspan(2);
  out.query.row = command::index_of(*row);
  out.query.db = static_cast<std::uint8_t>(db);
  out.query.version =
      row->has(command::kTypedReply) ? static_cast<std::uint8_t>(version) : std::uint8_t{0};
  out.query.key_class = key_class;
  out.version = version;
  return out;
}

Flights::Id Flights::open(const CachedRead& read) {
  if (free_.empty()) {
    flights_.push_back(std::make_unique<Flight>());
    free_.push_back(static_cast<Id>(flights_.size()));
  }
  const Id id = free_.back();
  free_.pop_back();
  Flight& flight = (*this)[id];
  flight.row = read.row;
  flight.key_class = read.query.key_class;
  flight.version = read.version;
  flight.db = read.query.db;
  flight.hash = read.query.hash;
  flight.identity = read.identity();
  keep_arguments(read.arguments, flight.words, flight.arguments);
  return id;
}

void Flights::charge(Id id, std::size_t& memory) {
  Flight& flight = (*this)[id];
  memory += flight.reply.capacity() - flight.charged;
  flight.charged = flight.reply.capacity();
}

void Flights::drop(Id id, std::size_t& memory) {
  withdraw(id);
  memory -= (*this)[id].charged;
  Flight fresh;
  Flight& old = (*this)[id];
  keep_small(old.words, fresh.words);
  keep_small(old.reply, fresh.reply);
  old = std::move(fresh);
  free_.push_back(id);
}

void Flights::announce(Id id) {
  Flight& flight = (*this)[id];
  flight.announced = flight.joinable = true;
  by_identity_[flight.identity] = id;
}

Flights::Id Flights::find(const CachedRead& read) {
  const auto found = by_identity_.find(read.identity());
  if (found == by_identity_.end()) {
    return 0;
  }
  const Flight& flight = (*this)[found->second];
  const bool same = flight.row == read.row && flight.version == read.version &&
                    flight.db == read.query.db &&
                    std::equal(flight.arguments.begin() + 1,
                               flight.arguments.end(),
                               read.arguments.begin() + 1,
                               read.arguments.end());
  return same ? found->second : 0;
}

void Flights::withdraw(Id id) {
  Flight& flight = (*this)[id];
  flight.joinable = false;
  if (!std::exchange(flight.announced, false)) {
    return;
  }
  const auto found = by_identity_.find(flight.identity);
  if (found != by_identity_.end() && found->second == id) {
    by_identity_.erase(found);
  }
}

LeaseWaits::Id LeaseWaits::open(const CachedRead& read, policy::RulesPtr rules) {
  if (free_.empty()) {
    waits_.push_back(std::make_unique<LeaseWait>());
    free_.push_back(static_cast<Id>(waits_.size()));
  }
  const Id id = free_.back();
  free_.pop_back();
  LeaseWait& wait = (*this)[id];
  wait.in_use = true;
  ++wait.generation;
  wait.read = read;
  wait.rules = std::move(rules);
  keep_arguments(read.arguments, wait.words, wait.arguments);
  wait.read.arguments = wait.arguments;
  wait.read.query.key = wait.arguments[1];
  wait.read.query.rest = wait.read.arguments.subspan(2);
  return id;
}

void LeaseWaits::close(Id id) {
  LeaseWait& wait = (*this)[id];
  const std::uint32_t generation = wait.generation;
  LeaseWait fresh;
  keep_small(wait.words, fresh.words);
  wait = std::move(fresh);
  wait.generation = generation;
  free_.push_back(id);
}

std::uint64_t LeaseWaits::token(Id id) const {
  return (std::uint64_t{waits_[id - 1]->generation} << 32U) | id;
}

LeaseWaits::Id LeaseWaits::find(std::uint64_t token) const {
  const auto id = static_cast<Id>(token);
  if (id == 0 || id > waits_.size()) {
    return 0;
  }
  const LeaseWait& wait = *waits_[id - 1];
  return wait.in_use && wait.generation == token >> 32U ? id : 0;
}

}  // namespace pannier::proxy
