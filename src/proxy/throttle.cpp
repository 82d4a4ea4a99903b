#include "throttle.hpp"

#include "pannier/base/bytes.hpp"
#include "pannier/limit/gcra.hpp"
#include "pannier/limit/gcra_script.hpp"
#include "pannier/resp/reply_writer.hpp"

#include "introspection.hpp"
#include "local_handlers.hpp"
#include "write_marks.hpp"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace pannier::proxy {
namespace {

constexpr std::size_t kMaxQuoted = 128;
constexpr std::size_t kWords = 6;  // with a quantity

// As redis-cell reads one: with a sign of either kind and leading zeros, if the client likes.
std::optional<std::int64_t> parse_number(std::string_view text) {
  if (text.starts_with('+')) {
    text.remove_prefix(1);
    if (text.starts_with('-')) {
      return std::nullopt;
    }
  }
  std::int64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  return error == std::errc{} && stop == end ? std::optional(value) : std::nullopt;
}

// max_burst, count, period, quantity.
struct Numbers {
  std::array<std::int64_t, 4> values{0, 0, 0, 1};
  std::string_view bad;  // the word that is none of them
  bool is_good = true;
};

Numbers parse_numbers(std::span<const std::string_view> arguments) {
  Numbers out;
  for (std::size_t i = 2; i < arguments.size() && i < kWords; ++i) {
    const auto number = parse_number(arguments[i]);
    if (!number) {
      out.bad = arguments[i];
      out.is_good = false;
      return out;
    }
    out.values.at(i - 2) = *number;
  }
  return out;
}

// Of a request: everything in front of its key.
std::string request_head(std::string_view command, std::string_view script) {
  return fmt::format("*8\r\n${}\r\n{}\r\n${}\r\n{}\r\n$1\r\n1\r\n",
                     command.size(),
                     command,
                     script.size(),
                     script);
}

const std::string& head_by_hash() {
  static const std::string head = request_head("EVALSHA", limit::kGcraScriptSha);
  return head;
}

const std::string& head_with_script() {
  static const std::string head = request_head("EVAL", limit::kGcraScript);
  return head;
}

// The bulk string that `bytes` begins with.
std::string_view first_bulk(std::string_view bytes) {
  const std::size_t end = bytes.find("\r\n");
  const auto length = base::parse_int(bytes.substr(1, end - 1)).value_or(0);
  return bytes.substr(end + 2, static_cast<std::size_t>(length));
}

// The slot of the second try takes over what the first one owes; the write goes on all the time.
upstream::SlotIndex take_over(Context& context, upstream::SlotIndex index) {
  const upstream::SlotIndex again = context.runtime.slots.take();
  upstream::Slot& old = context.runtime.slots[index];
  upstream::Slot& fresh = context.runtime.slots[again];
  context.runtime.deadlines.remove(index);
  fresh = old;
  fresh.next_in_line = upstream::kNoSlot;
  fresh.queued_us = 0;
  fresh.start = context.runtime.now;
  old.fate = upstream::Fate::Swallow;
  old.marks_keys = false;
  context.runtime.deadlines.add(again);
  return again;
}

}  // namespace

bool is_throttle(const command::CommandSpec& row) {
  static const command::CommandSpec* const kThrottle = command::find("cl.throttle");
  return &row == kThrottle;
}

LocalResult run_throttle(const LocalCall& call) {
  if (call.arguments.size() > kWords) {
    return reply_error(kThrottleUsage);
  }
  const Numbers numbers = parse_numbers(call.arguments);
  if (!numbers.is_good) {
    return reply_error(fmt::format("Cell error: Couldn't parse as integer: {}",
                                   as_printed(numbers.bad, kMaxQuoted)));
  }
  const auto [max_burst, count, period, quantity] = numbers.values;
  if (count == 0 || period == 0) {
    return reply_error("Cell error: Zero rates are not supported");
  }
  if (max_burst < 0 || count < 0 || period < 0 || quantity < 0) {
    return reply_error("Cell error: Negative numbers are not supported");
  }
  if (!limit::Rate::make(max_burst, count, period)) {
    return reply_error("Cell error: Rates over 1000000 per second are not supported");
  }
  LocalResult result;
  result.action = LocalAction::Throttle;
  return result;
}

void prepare_throttle(Context& context, const upstream::Connection& connection, Outgoing& out) {
  const auto [max_burst, count, period, quantity] = parse_numbers(out.arguments).values;
  const auto rate = limit::Rate::make(max_burst, count, period);
  context.text.clear();
  append_gcra_request(context, connection, out.arguments[1], *rate, quantity);
  out.frame = context.text;
  out.fate = upstream::Fate::Whole;
  out.purpose = upstream::Purpose::Throttle;
}

void append_gcra_request(Context& context,
                         const upstream::Connection& connection,
                         std::string_view key,
                         const limit::Rate& rate,
                         std::int64_t quantity) {
  const bool knows_script = !context.scripted.insert(&connection).second;
  context.text += knows_script ? head_by_hash() : head_with_script();
  resp::append_bulk(context.text, key);
  for (const std::int64_t number :
       {rate.limit(), rate.interval(), rate.tolerance(), rate.cost(quantity)}) {
    const fmt::format_int digits(number);
    resp::append_bulk(context.text, {digits.data(), digits.size()});
  }
}

bool send_with_script(Context& context,
                      upstream::Connection& connection,
                      upstream::SlotIndex index,
                      std::string_view reply) {
  const upstream::Slot& slot = context.runtime.slots[index];
  const bool is_own = slot.purpose == upstream::Purpose::Limit;
  if (!reply.starts_with("-NOSCRIPT") || slot.fate != upstream::Fate::Whole || slot.length == 0 ||
      (!is_own && context.sessions.find(slot.session) == nullptr)) {
    return false;
  }
  std::string request;
  connection.pipeline().copy_request(slot, request);
  if (!request.starts_with(head_by_hash())) {
    return false;
  }
  request.replace(0, head_by_hash().size(), head_with_script());
  const upstream::SlotIndex again = take_over(context, index);
  connection.metrics().requests.add();
  if (hand_over(context, connection, again, request) && !is_own && context.rules->any_cache) {
    const std::string_view key =
        first_bulk(std::string_view(request).substr(head_with_script().size()));
    const std::array<std::string_view, 2> arguments{"cl.throttle", key};
    Outgoing out;
    out.row = command::find("cl.throttle");
    out.arguments = arguments;
    publish_write(context, connection, out);
  }
  return true;
}

std::optional<std::array<std::int64_t, 5>> parse_gcra_reply(std::string_view reply) {
  constexpr std::string_view kHeader = "*5\r\n";
  std::array<std::int64_t, 5> numbers{};
  if (!reply.starts_with(kHeader)) {
    return std::nullopt;
  }
  std::string_view rest = reply.substr(kHeader.size());
  for (std::int64_t& number : numbers) {
    const std::size_t end = rest.find("\r\n");
    const auto value = rest.starts_with(':') && end != std::string_view::npos
                           ? base::parse_int(rest.substr(1, end - 1))
                           : std::nullopt;
    if (!value) {
      return std::nullopt;
    }
    number = *value;
    rest.remove_prefix(end + 2);
  }
  return numbers;
}

std::string throttle_reply(std::string_view reply) {
  const auto parsed = parse_gcra_reply(reply);
  if (!parsed) {
    return std::string(reply);
  }
  auto numbers = *parsed;
  numbers[3] = limit::whole_seconds(numbers[3]);
  numbers[4] = limit::whole_seconds(numbers[4]);
  std::string out;
  resp::append_array_header(out, numbers.size());
  for (const std::int64_t number : numbers) {
    resp::append_integer(out, number);
  }
  return out;
}

}  // namespace pannier::proxy
