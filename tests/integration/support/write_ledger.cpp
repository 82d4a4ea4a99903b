#include "write_ledger.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

namespace pannier::test {

namespace {

constexpr std::uint64_t kApart = 1'000'000'000;  // between the counters' beginnings

std::string complaint(const std::string& what, std::string_view text, const std::string& why) {
  return what + " showed \"" + std::string(text.substr(0, 80)) + "\": " + why;
}

bool to_number(std::string_view text, std::uint64_t& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

WriteLedger::KeyId WriteLedger::add_text(std::string name) {
  Key key;
  key.name = std::move(name);
  keys_.push_back(std::move(key));
  return keys_.size() - 1;
}

WriteLedger::KeyId WriteLedger::add_counter(std::string name) {
  const KeyId id = add_text(std::move(name));
  keys_[id].counter = true;
  keys_[id].origin = (id + 1) * kApart;
  return id;
}

std::string WriteLedger::first_value(KeyId id) const {
  const Key& key = keys_[id];
  return key.counter ? std::to_string(key.origin) : key.name + "#0#";
}

WriteLedger::Ticket WriteLedger::begin_write(KeyId id) {
  Key& key = keys_[id];
  ++key.open;
  return {id, key.counter ? 0 : ++key.sent, key.floor, epoch_};
}

std::string WriteLedger::value(const Ticket& ticket) const {
  return keys_[ticket.key].name + "#" + std::to_string(ticket.sequence) + "#" +
         std::string(ticket.sequence % 300, 'x');
}

std::string WriteLedger::end_write(const Ticket& ticket, Outcome outcome, std::uint64_t reply) {
  Key& key = keys_[ticket.key];
  --key.open;
  acknowledged_ += outcome == Outcome::Done ? 1 : 0;
  if (!key.counter) {
    if (outcome == Outcome::NotRun) {
      key.never.insert(ticket.sequence);
    } else if (outcome == Outcome::MayHaveRun) {
      key.doubtful.insert(ticket.sequence);
    } else if (ticket.epoch == epoch_) {
      key.floor = std::max(key.floor, ticket.sequence);
    }
    return {};
  }
  if (ticket.epoch != epoch_) {
    return {};
  }
  key.sent += outcome == Outcome::NotRun ? 0 : 1;
  if (outcome != Outcome::Done) {
    return {};
  }
  std::uint64_t number = 0;
  if (!number_in(key, std::to_string(reply), number)) {
    return "INCR " + key.name + " was answered with another key's " + std::to_string(reply);
  }
  if (number <= key.floor) {
    return "INCR " + key.name + " was answered " + std::to_string(number) + " behind " +
           std::to_string(key.floor) + ": an acknowledged one is lost, or a reply was given twice";
  }
  if (number > key.sent) {
    return "INCR " + key.name + " was answered " + std::to_string(number) + ", and only " +
           std::to_string(key.sent) + " were asked for: one ran twice";
  }
  key.floor = number;
  return {};
}

WriteLedger::Ticket WriteLedger::begin_read(KeyId id, std::uint64_t shown) const {
  return {id, 0, std::max(keys_[id].floor, shown), epoch_};
}

bool WriteLedger::number_in(const Key& key, std::string_view text, std::uint64_t& number) {
  if (key.counter) {
    std::uint64_t whole = 0;
    const bool is_number = to_number(text, whole);
    const std::uint64_t origin = key.restarted && whole < kApart ? 0 : key.origin;
    number = whole - origin;
    return is_number && whole >= origin && number < kApart;
  }
  if (text.size() <= key.name.size() || !text.starts_with(key.name) ||
      text[key.name.size()] != '#') {
    return false;
  }
  text.remove_prefix(key.name.size() + 1);
  return to_number(text.substr(0, text.find('#')), number);
}

std::string WriteLedger::end_read(const Ticket& ticket,
                                  std::string_view text,
                                  std::uint64_t& seen) const {
  const Key& key = keys_[ticket.key];
  if (!number_in(key, text, seen)) {
    return complaint(key.name, text, "no value of this key");
  }
  if (key.never.count(seen) > 0) {
    return complaint(key.name, text, "that write was told not to have been sent");
  }
  if (ticket.epoch != epoch_) {
    return {};
  }
  if (seen < ticket.floor && key.doubtful.count(seen) == 0) {
    return complaint(
        key.name, text, "older than " + std::to_string(ticket.floor) + ", which was acknowledged");
  }
  if (seen > key.sent + (key.counter ? key.open : 0)) {
    return complaint(key.name, text, "more than " + std::to_string(key.sent) + " was never sent");
  }
  return {};
}

void WriteLedger::rebase(const std::map<std::string, std::string>& values) {
  ++epoch_;
  for (Key& key : keys_) {
    const auto value = values.find(key.name);
    std::uint64_t number = 0;
    key.floor = value != values.end() && number_in(key, value->second, number) ? number : 0;
    if (key.counter) {
      key.restarted = key.restarted || value == values.end();
      key.sent = key.floor + key.open;
    }
  }
}

}  // namespace pannier::test
