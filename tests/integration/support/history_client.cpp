#include "history_client.hpp"

#include "raw_client.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <utility>

namespace pannier::test {

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto kLost = 30s;    // a reply that has not come by then
constexpr auto kAgain = 20ms;  // a connection that could not be opened is tried again

// The number, and with it the order, is the server's.
constexpr std::string_view kScript =
    "local n = redis.call('INCR', KEYS[2]) "
    "redis.call('SET', KEYS[1], ARGV[1] .. string.format('%d', n) .. ARGV[2]) return n";

bool is_error(std::string_view reply) {
  return reply.starts_with('-');
}

// The text of a bulk, or nothing for nil; false when it is neither.
bool text_of_bulk(std::string_view frame, std::string_view& text) {
  text = {};
  if (frame == "$-1\r\n" || frame == "_\r\n") {
    return true;
  }
  const std::size_t line = frame.find("\r\n");
  if (!frame.starts_with('$') || frame.size() < line + 4) {
    return false;
  }
  text = frame.substr(line + 2, frame.size() - line - 4);
  return true;
}

// The elements of an array, which are no arrays.
std::vector<std::string_view> elements_of(std::string_view frame) {
  std::vector<std::string_view> out;
  if (frame.starts_with('*')) {
    frame.remove_prefix(frame.find("\r\n") + 2);
    while (!frame.empty()) {
      out.push_back(frame.substr(0, frame_end(frame)));
      frame.remove_prefix(out.back().size());
    }
  }
  return out;
}

}  // namespace

HistoryKeys::HistoryKeys(HistoryChecker& checker, std::vector<Group> groups, std::size_t per_group)
    : checker_(checker),
      groups_(std::move(groups)),
      keys_(groups_.size()) {
  for (auto& group : keys_) {
    group.resize(per_group);
  }
}

HistoryKeys::Place HistoryKeys::any(std::minstd_rand& random) const {
  Place place;
  place.group = std::uniform_int_distribution<std::size_t>(0, keys_.size() - 1)(random);
  // The n-th is asked for about 1/n as often as the first.
  const std::size_t count = keys_[place.group].size();
  const double part = std::uniform_real_distribution<double>(0, 1)(random);
  const double rank = std::pow(static_cast<double>(count + 1), part) - 1;
  place.number = std::min(static_cast<std::size_t>(rank), count - 1);
  return place;
}

HistoryKeyPtr HistoryKeys::at(const Place& place) {
  HistoryKeyPtr& key = keys_.at(place.group).at(place.number);
  if (!key || key->retired) {
    retired_ += key ? 1 : 0;
    const std::string name =
        groups_[place.group].prefix + std::to_string(place.number) + "." + std::to_string(retired_);
    const auto filling = static_cast<char>('a' + (place.group * 7 + place.number) % 26);
    key = checker_.make_key(name, filling, place.number % 4 == 1);
  }
  return key;
}

HistoryClient::HistoryClient(HistoryChecker& checker,
                             HistoryKeys& keys,
                             const Style& style,
                             unsigned seed)
    : checker_(checker),
      keys_(keys),
      style_(style),
      random_(seed),
      due_(Clock::now()) {
  connect();
}

HistoryClient::~HistoryClient() {
  if (descriptor_ >= 0) {
    ::close(descriptor_);
  }
}

void HistoryClient::connect() {
  try {
    descriptor_ = RawClient(style_.port, 2s).release();
  } catch (const std::runtime_error& error) {
    disconnect(error.what());
    return;
  }
  ::fcntl(descriptor_, F_SETFL, O_NONBLOCK);
  if (any(0, 1) == 1) {
    push({Kind::Hello, 1, {}, {}, {}, {}}, {"HELLO", "3"});
  }
}

void HistoryClient::disconnect(const std::string& why) {
  if (descriptor_ >= 0) {
    ::close(descriptor_);
  }
  descriptor_ = -1;
  for (const Asked& asked : asked_) {
    for (const auto& write : asked.writes) {
      checker_.lose_write(write);
    }
  }
  asked_.clear();
  input_.clear();
  output_.clear();
  known_.clear();
  due_ = Clock::now() + kAgain;
  ++errors_;
  if (!checker_.is_disturbed()) {
    throw HistoryError("a connection was lost without a reason: " + why);
  }
}

pollfd HistoryClient::wish() const {
  const int events = POLLIN | (output_.empty() ? 0 : POLLOUT);
  return {descriptor_, static_cast<short>(events), 0};
}

void HistoryClient::work(short events) {
  if (descriptor_ >= 0 && (events & (POLLIN | POLLHUP | POLLERR)) != 0) {
    receive();
  }
  const auto now = Clock::now();
  if (!asked_.empty() && now > asked_.front().sent + kLost) {
    throw HistoryError("no reply within 30 s");
  }
  if (now >= due_ && !finishing_) {
    if (descriptor_ < 0) {
      connect();
    } else if (asked_.empty()) {
      ask();
    }
  }
  if (descriptor_ >= 0 && !output_.empty()) {
    send();
  }
}

bool HistoryClient::finish() {
  finishing_ = true;
  return asked_.empty();
}

void HistoryClient::ask() {
  const int depth = style_.pipelined ? any(1, 12) : 1;
  for (int i = 0; i < depth; ++i) {
    if (any(0, 99) < style_.writes) {
      ask_to_write();
    } else {
      ask_to_read();
    }
  }
  const auto most = static_cast<int>(2 * style_.pause.count());
  due_ = Clock::now() + std::chrono::microseconds(any(0, most));
}

void HistoryClient::push(Asked asked, const std::vector<std::string_view>& words) {
  output_ += request(words);
  if (asked.frames > 0) {
    asked.sent = Clock::now();
    asked_.push_back(std::move(asked));
  }
}

void HistoryClient::ask_to_read() {
  HistoryKeys::Place place = keys_.any(random_);
  const HistoryKeyPtr key = keys_.at(place);
  const int kind = any(0, 19);
  if (kind == 0 && keys_.many(place)) {
    place.number = keys_.any(random_).number;
    const HistoryKeyPtr other = keys_.at(place);
    push({Kind::ReadMany,
          1,
          {checker_.begin_read(key, style_.place, 'M'),
           checker_.begin_read(other, style_.place, 'M')},
          {},
          {},
          {}},
         {"MGET", key->name, other->name});
  } else if (kind < 4) {
    push({Kind::Range, 1, {checker_.begin_read(key, style_.place, 'G')}, {}, {}, {}},
         {"GETRANGE", key->name, "0", "63"});
  } else {
    push({Kind::Read, 1, {checker_.begin_read(key, style_.place)}, {}, {}, {}}, {"GET", key->name});
  }
}

std::size_t HistoryClient::padding() {
  return static_cast<std::size_t>(any(0, 9) == 0 ? any(0, 9000) : any(0, 200));
}

void HistoryClient::ask_to_write() {
  const HistoryKeyPtr key = keys_.at(keys_.any(random_));
  if (key->counted) {
    ask_script(key);
    return;
  }
  if (key->busy) {
    return;
  }
  const int kind = any(0, 9);
  if (kind == 0) {
    push(
        {Kind::Delete, 1, {}, {checker_.begin_write(key, style_.place, WriteKind::Delete)}, {}, {}},
        {any(0, 1) == 0 ? "DEL" : "UNLINK", key->name});
  } else if (kind == 1) {
    const auto write = checker_.begin_write(key, style_.place, WriteKind::Expiring);
    const std::string value = checker_.value(write, padding());
    const std::string life = std::to_string(HistoryChecker::kLife.count());
    push({Kind::Write, 1, {}, {write}, {}, {}}, {"SET", key->name, value, "PX", life});
  } else if (kind == 2) {
    ask_transaction(key);
  } else if (kind == 3) {
    ask_many_writes(key);
  } else {
    const auto write = checker_.begin_write(key, style_.place, WriteKind::Store);
    const std::string value = checker_.value(write, padding());
    if (kind == 4) {
      push({Kind::Write, 1, {}, {write}, {}, {}}, {"SETEX", key->name, "1000", value});
    } else {
      push({Kind::Write, 1, {}, {write}, {}, {}}, {"SET", key->name, value});
    }
  }
}

void HistoryClient::ask_script(const HistoryKeyPtr& key) {
  const auto write = checker_.begin_write(key, style_.place, WriteKind::Store);
  const std::size_t length = padding();
  const std::string head = key->name + "|" + std::to_string(checker_.era()) + "|";
  const std::string tail = "|" + std::to_string(style_.place) + "|" + std::to_string(length) + "|" +
                           std::string(length, key->filling);
  const std::string counter = key->name + ":n";
  push({Kind::Script, 1, {}, {write}, {}, {}},
       {"EVAL", kScript, "2", key->name, counter, head, tail});
}

void HistoryClient::ask_transaction(const HistoryKeyPtr& key) {
  const auto write = checker_.begin_write(key, style_.place, WriteKind::Store);
  const std::string value = checker_.value(write, padding());
  const auto read = checker_.begin_read(key, style_.place);
  push({Kind::Transaction, 4, {read}, {write}, {}, {}}, {"MULTI"});
  push({Kind::Transaction, 0, {}, {}, {}, {}}, {"SET", key->name, value});
  push({Kind::Transaction, 0, {}, {}, {}, {}}, {"GET", key->name});
  push({Kind::Transaction, 0, {}, {}, {}, {}}, {"EXEC"});
}

void HistoryClient::ask_many_writes(const HistoryKeyPtr& key) {
  const auto write = checker_.begin_write(key, style_.place, WriteKind::Store);
  const std::string value = checker_.value(write, padding());
  const HistoryKeyPtr other = keys_.at(keys_.any(random_));
  if (other->counted || other->busy) {
    push({Kind::Write, 1, {}, {write}, {}, {}}, {"MSET", key->name, value});
    return;
  }
  const auto second = checker_.begin_write(other, style_.place, WriteKind::Store);
  const std::string second_value = checker_.value(second, padding());
  push({Kind::Write, 1, {}, {write, second}, {}, {}},
       {"MSET", key->name, value, other->name, second_value});
}

void HistoryClient::send() {
  const ssize_t n = ::send(descriptor_, output_.data(), output_.size(), MSG_NOSIGNAL);
  if (n < 0 && errno != EAGAIN) {
    disconnect("it was closed while requests were sent");
    return;
  }
  output_.erase(0, n > 0 ? static_cast<std::size_t>(n) : 0);
}

void HistoryClient::receive() {
  std::array<char, 64 * 1024> buffer;
  const ssize_t n = ::recv(descriptor_, buffer.data(), buffer.size(), 0);
  if (n < 0 && errno == EAGAIN) {
    return;
  }
  if (n <= 0) {
    disconnect("it ended");
    return;
  }
  input_.append(buffer.data(), static_cast<std::size_t>(n));
  std::size_t taken = 0;
  while (descriptor_ >= 0 && taken < input_.size()) {
    const std::string_view rest = std::string_view(input_).substr(taken);
    const std::size_t length = frame_end(rest);
    if (length == 0) {
      break;
    }
    taken += length;
    take(rest.substr(0, length));
  }
  input_.erase(0, std::min(taken, input_.size()));
}

void HistoryClient::take(std::string_view frame) {
  if (asked_.empty()) {
    throw HistoryError("a reply that nobody asked for: " + std::string(frame.substr(0, 200)));
  }
  Asked& asked = asked_.front();
  asked.replies.emplace_back(frame);
  if (asked.replies.size() == asked.frames) {
    judge(asked);
    asked_.pop_front();
  }
}

void HistoryClient::judge(Asked& asked) {
  const auto error = std::find_if(asked.replies.begin(), asked.replies.end(), is_error);
  if (error != asked.replies.end()) {
    ++errors_;
    for (const auto& write : asked.writes) {
      checker_.lose_write(write);
    }
    if (!checker_.is_disturbed()) {
      throw HistoryError("an error without a reason: " + *error);
    }
    return;
  }
  const std::string& reply = asked.replies.back();
  bool right = true;
  switch (asked.kind) {
    case Kind::Hello:
      right = reply.starts_with('%');
      break;
    case Kind::Read:
    case Kind::Range:
      judge_read(asked.reads[0], reply, asked.kind == Kind::Read);
      break;
    case Kind::ReadMany: {
      const auto elements = elements_of(reply);
      right = elements.size() == asked.reads.size();
      for (std::size_t i = 0; right && i < elements.size(); ++i) {
        judge_read(asked.reads[i], elements[i], true);
      }
      break;
    }
    case Kind::Transaction: {
      const auto elements = elements_of(reply);
      right = asked.replies[0] == "+OK\r\n" && asked.replies[1] == "+QUEUED\r\n" &&
              asked.replies[2] == "+QUEUED\r\n" && elements.size() == 2 && elements[0] == "+OK\r\n";
      if (right) {
        checker_.end_write(asked.writes[0], known(asked.writes[0].key));
        judge_read(asked.reads[0], elements[1], true);
      }
      break;
    }
    case Kind::Write:
    case Kind::Delete:
      right = asked.kind == Kind::Write ? reply == "+OK\r\n" : reply.starts_with(':');
      for (const auto& write : asked.writes) {
        checker_.end_write(write, known(write.key));
      }
      break;
    case Kind::Script:
      right = reply.starts_with(':');
      if (right) {
        checker_.end_write(
            asked.writes[0], known(asked.writes[0].key), std::stoull(reply.substr(1)));
      }
      break;
  }
  if (!right) {
    throw HistoryError("not a reply to what was asked: " + reply.substr(0, 300));
  }
}

void HistoryClient::judge_read(const HistoryChecker::Read& read,
                               std::string_view reply,
                               bool whole) {
  std::string_view text;
  if (!text_of_bulk(reply, text)) {
    throw HistoryError("not a reply to a read: " + std::string(reply.substr(0, 300)));
  }
  checker_.end_read(read, text, whole, known(read.key));
}

}  // namespace pannier::test
