#include "load_connection.hpp"

#include "raw_client.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <stdexcept>
#include <utility>

namespace pannier::test {

namespace {

using namespace std::chrono_literals;

constexpr auto kNever = 30s;   // a reply that has not come by then
constexpr auto kAgain = 20ms;  // a connection that could not be opened is tried again
constexpr auto kMany = 3;      // keys of an MGET

bool is_nil(std::string_view frame) {
  return frame == "$-1\r\n" || frame == "_\r\n";
}

}  // namespace

std::string still_key(std::size_t number) {
  return "still:" + std::to_string(number);
}

std::string still_hash(std::size_t number) {
  return "still:h:" + std::to_string(number);
}

std::string still_value(const std::string& key) {
  return key + "#" + std::string(key.back() == '7' ? 3000 : 40, 's');
}

LoadConnection::LoadConnection(LoadShared& shared, Style style)
    : shared_(shared),
      style_(std::move(style)),
      random_(style_.seed + 1),
      due_(Clock::now()) {
  if (style_.writes) {
    text_ = shared_.ledger.add_text("moving:t:" + style_.name);
    counter_ = shared_.ledger.add_counter("moving:n:" + style_.name);
  }
}

LoadConnection::~LoadConnection() {
  if (descriptor_ >= 0) {
    ::close(descriptor_);
  }
}

void LoadConnection::connect() {
  try {
    descriptor_ = RawClient(style_.port, 2s).release();
    ::fcntl(descriptor_, F_SETFL, O_NONBLOCK);
  } catch (const std::runtime_error& error) {
    disconnect(error.what());
  }
}

void LoadConnection::disconnect(const std::string& why) {
  if (descriptor_ >= 0) {
    ::close(descriptor_);
  }
  descriptor_ = -1;
  ++losses_;
  shared_.tell_error("connection: " + why);
  const auto now = Clock::now();
  for (const Pending& each : pending_) {
    if (each.asked == Asked::Write) {
      static_cast<void>(shared_.ledger.end_write(each.ticket, WriteLedger::Outcome::MayHaveRun));
    }
    shared_.record({each.sent, now, each.asked, Answer::ConnectionLost});
  }
  pending_.clear();
  input_.clear();
  output_.clear();
  shown_.clear();
  due_ = now + kAgain;
}

pollfd LoadConnection::wish() const {
  const int events = POLLIN | (output_.empty() ? 0 : POLLOUT);
  return {descriptor_, static_cast<short>(events), 0};
}

bool LoadConnection::finish() {
  finishing_ = true;
  return pending_.empty();
}

std::size_t LoadConnection::in_flight(Asked asked) const {
  return static_cast<std::size_t>(std::count_if(
      pending_.begin(), pending_.end(), [&](const auto& each) { return each.asked == asked; }));
}

std::string LoadConnection::waiting() const {
  static constexpr std::array<const char*, 7> kForms{
      "GET", "MGET", "HGET", "GET of a written key", "SET", "INCR", "ECHO"};
  if (pending_.empty()) {
    return {};
  }
  const Pending& oldest = pending_.front();
  const auto age =
      std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - oldest.sent);
  return "session " + style_.name + " waits for " + kForms[static_cast<std::size_t>(oldest.form)] +
         " since " + std::to_string(age.count()) + " ms, and " +
         std::to_string(pending_.size() - 1) + " behind it";
}

void LoadConnection::complain(const std::string& what) {
  shared_.complain("session " + style_.name + ": " + what);
}

void LoadConnection::work(short events) {
  if (descriptor_ >= 0 && (events & (POLLIN | POLLHUP | POLLERR)) != 0) {
    receive();
  }
  const auto now = Clock::now();
  if (!pending_.empty() && now > pending_.front().sent + kNever) {
    complain("no reply within 30 s: " + waiting());
    disconnect("given up");
  }
  if (now >= due_ && !finishing_) {
    if (descriptor_ < 0) {
      connect();
    }
    if (descriptor_ >= 0 && pending_.empty()) {
      ask_batch();
    }
  }
  if (descriptor_ >= 0 && !output_.empty()) {
    send();
  }
}

void LoadConnection::ask_batch() {
  const int depth = any(1, style_.depth);
  for (int i = 0; i < depth; ++i) {
    const int kind = any(0, 99);
    if (kind < 3) {
      const std::string token = "echo:" + style_.name + ":" + std::to_string(++echoes_);
      push({Form::Echo, Asked::Local, {}, {}, {token}}, {"ECHO", token});
    } else if (!style_.writes) {
      ask_still(Asked::Read);
    } else if (kind < 30) {
      ask_write();
    } else if (kind < 60) {
      ask_fresh();
    } else {
      ask_still(Asked::ReadBehind);
    }
  }
  const auto most = static_cast<int>(2 * style_.pause.count());
  due_ = Clock::now() + std::chrono::microseconds(any(0, most));
}

void LoadConnection::push(Pending pending, const std::vector<std::string_view>& words) {
  output_ += request(words);
  pending.sent = Clock::now();
  pending_.push_back(std::move(pending));
}

void LoadConnection::ask_still(Asked asked) {
  const auto any_number = [this] {
    return static_cast<std::size_t>(any(0, static_cast<int>(shared_.static_keys) - 1));
  };
  const int kind = any(0, 9);
  if (kind < 2) {
    Pending many{Form::ManyGet, asked, {}, {}, {}};
    for (int i = 0; i < kMany; ++i) {
      many.keys.push_back(still_key(any_number()));
    }
    std::vector<std::string_view> words{"MGET"};
    words.insert(words.end(), many.keys.begin(), many.keys.end());
    push(std::move(many), words);  // the views are of the keys, which do not move
  } else if (kind < 5) {
    const std::string key = still_hash(any_number());
    push({Form::HashGet, asked, {}, {}, {key}}, {"HGET", key, "f"});
  } else {
    const std::string key = still_key(any_number());
    push({Form::Get, asked, {}, {}, {key}}, {"GET", key});
  }
}

void LoadConnection::ask_fresh() {
  // Its own more often than another's.
  auto id =
      any(0, 1) == 0
          ? static_cast<WriteLedger::KeyId>(any(0, static_cast<int>(shared_.ledger.size()) - 1))
          : text_;
  const Shown& shown = shown_[id];
  const std::uint64_t number = shown.epoch == shared_.ledger.epoch() ? shown.number : 0;
  const auto ticket = shared_.ledger.begin_read(id, number);
  push({Form::FreshGet, Asked::Fresh, {}, ticket, {}}, {"GET", shared_.ledger.name(id)});
}

void LoadConnection::ask_write() {
  if (any(0, 1) == 0) {
    const auto ticket = shared_.ledger.begin_write(counter_);
    push({Form::Add, Asked::Write, {}, ticket, {}}, {"INCR", shared_.ledger.name(counter_)});
  } else {
    const auto ticket = shared_.ledger.begin_write(text_);
    const std::string value = shared_.ledger.value(ticket);
    push({Form::Set, Asked::Write, {}, ticket, {}}, {"SET", shared_.ledger.name(text_), value});
  }
}

void LoadConnection::send() {
  const ssize_t n = ::send(descriptor_, output_.data(), output_.size(), MSG_NOSIGNAL);
  if (n < 0 && errno != EAGAIN) {
    disconnect("closed while requests were sent");
    return;
  }
  output_.erase(0, n > 0 ? static_cast<std::size_t>(n) : 0);
}

void LoadConnection::receive() {
  std::array<char, 64 * 1024> buffer;
  const ssize_t n = ::recv(descriptor_, buffer.data(), buffer.size(), 0);
  if (n < 0 && errno == EAGAIN) {
    return;
  }
  if (n <= 0) {
    disconnect(n == 0 ? "closed by Pannier" : "reset by Pannier");
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

void LoadConnection::take(std::string_view frame) {
  if (pending_.empty()) {
    complain("a reply that nobody asked for: " + std::string(frame.substr(0, 200)));
    return;
  }
  const Pending pending = std::move(pending_.front());
  pending_.pop_front();
  const Answer answer =
      frame.starts_with('-') ? judge_error(pending, frame) : judge(pending, frame);
  shared_.record({pending.sent, Clock::now(), pending.asked, answer});
}

Answer LoadConnection::judge_error(const Pending& pending, std::string_view frame) {
  const std::string text(frame.substr(0, frame.find('\r')));
  shared_.tell_error(text);
  const bool ours = text.starts_with("-UPSTREAM");
  const bool not_sent = ours && text.ends_with("(not sent)");
  if (pending.asked == Asked::Write) {
    static_cast<void>(shared_.ledger.end_write(
        pending.ticket,
        not_sent ? WriteLedger::Outcome::NotRun : WriteLedger::Outcome::MayHaveRun));
  }
  if (ours && !not_sent && !text.ends_with("(may have run)")) {
    complain("does not say whether it ran: " + text);
  }
  if (pending.asked == Asked::Local) {
    complain("ECHO was answered " + text);
  }
  return not_sent ? Answer::NotSent : (ours ? Answer::MayHaveRun : Answer::OtherError);
}

Answer LoadConnection::judge(const Pending& pending, std::string_view frame) {
  switch (pending.form) {
    case Form::Get:
    case Form::HashGet:
      return judge_still(pending, pending.keys.front(), frame);
    case Form::ManyGet: {
      if (!frame.starts_with("*" + std::to_string(kMany) + "\r\n")) {
        break;
      }
      frame.remove_prefix(4);
      Answer worst = Answer::Ok;
      for (const std::string& key : pending.keys) {
        worst = std::max(worst, judge_still(pending, key, frame.substr(0, frame_end(frame))));
        frame.remove_prefix(frame_end(frame));
      }
      return worst;
    }
    case Form::FreshGet:
      return judge_fresh(pending, frame);
    case Form::Echo:
      if (frame == bulk(pending.keys.front())) {
        return Answer::Ok;
      }
      break;
    case Form::Set:
    case Form::Add: {
      const bool right = pending.form == Form::Set ? frame == "+OK\r\n" : frame.starts_with(':');
      const std::uint64_t number =
          right && pending.form == Form::Add ? std::stoull(std::string(frame.substr(1))) : 0;
      const std::string why = shared_.ledger.end_write(
          pending.ticket,
          right ? WriteLedger::Outcome::Done : WriteLedger::Outcome::MayHaveRun,
          number);
      if (!why.empty()) {
        complain(why);
      }
      if (right) {
        return Answer::Ok;
      }
      break;
    }
  }
  complain("not a reply to what was asked: " + std::string(frame.substr(0, 200)));
  return Answer::OtherError;
}

Answer LoadConnection::judge_still(const Pending& pending,
                                   const std::string& key,
                                   std::string_view frame) {
  if (is_nil(frame)) {
    return pending.sent < shared_.nil_right_until ? Answer::Ok : Answer::Nil;
  }
  if (frame == bulk(still_value(key))) {
    return Answer::Ok;
  }
  complain("the reply to a read of " + key + " is " + std::string(frame.substr(0, 200)));
  return Answer::OtherError;
}

Answer LoadConnection::judge_fresh(const Pending& pending, std::string_view frame) {
  const auto id = pending.ticket.key;
  if (is_nil(frame)) {
    return pending.sent < shared_.nil_right_until ? Answer::Ok : Answer::Nil;
  }
  if (!frame.starts_with('$')) {
    complain("the reply to a read of " + shared_.ledger.name(id) + " is " +
             std::string(frame.substr(0, 200)));
    return Answer::OtherError;
  }
  std::uint64_t seen = 0;
  const std::string why = shared_.ledger.end_read(pending.ticket, text_of(frame), seen);
  if (!why.empty()) {
    complain(why);
    return Answer::OtherError;
  }
  if (pending.ticket.epoch == shared_.ledger.epoch()) {
    shown_[id] = {pending.ticket.epoch, std::max(seen, pending.ticket.floor)};
  }
  return Answer::Ok;
}

}  // namespace pannier::test
