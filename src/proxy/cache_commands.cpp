#include "cache_commands.hpp"

#include "pannier/base/bytes.hpp"
#include "pannier/base/log.hpp"
#include "pannier/proxy/cache_actions.hpp"
#include "pannier/resp/reply_writer.hpp"

#include "cached_reads.hpp"
#include "gather.hpp"

#include <fmt/format.h>

#include <array>
#include <optional>
#include <string>

namespace pannier::proxy {
namespace {

constexpr std::int64_t kDefaultHotKeys = 10;

Step answer_error(Session& session, std::string_view text) {
  std::string out;
  resp::append_error(out, text);
  session.answer(out);
  return Step::Done;
}

Step answer_integer(Session& session, std::int64_t value) {
  std::string out;
  resp::append_integer(out, value);
  session.answer(out);
  return Step::Done;
}

Step run_bypass(Context& context, Session& session, std::span<const std::string_view> arguments) {
  if (arguments.size() == 3 && base::equals_ignoring_case(arguments[2], "off")) {
    set_bypass(context.shared, {});
    base::log_info("cache", "bypass off, asked for by {}", session.state.remote_address);
    session.answer("+OK\r\n");
    return Step::Done;
  }
  const auto period = arguments.size() == 4 ? parse_bypass_period(arguments[3]) : std::nullopt;
  if (!period || !base::equals_ignoring_case(arguments[2], "on")) {
    return answer_error(session,
                        "ERR say PANNIER BYPASS ON <period> (as 10m or 30s, at most 24h) or "
                        "PANNIER BYPASS OFF");
  }
  set_bypass(context.shared, context.runtime.now + *period);
  base::log_warn("cache",
                 "bypass on for {}, asked for by {}: near cache, flights and leases are off",
                 arguments[3],
                 session.state.remote_address);
  session.answer("+OK\r\n");
  return Step::Done;
}

Step run_invalidate(Context& context,
                    Session& session,
                    std::span<const std::string_view> arguments) {
  return answer_integer(session,
                        static_cast<std::int64_t>(invalidate_keys(context, arguments.subspan(2))));
}

// GETs the keys in the background; answers how many it asked for.
Step run_warm(Context& context, Session& session, std::span<const std::string_view> arguments) {
  static const command::CommandSpec* const kGet = command::find("get");
  std::int64_t asked = 0;
  for (const std::string_view key : arguments.subspan(2)) {
    const std::array<std::string_view, 2> get{"GET", key};
    Fill fill;
    fill.kind = FlightKind::Refresh;
    if (identify_read(context, session, *kGet, get, fill.read) && !is_bypassed(context) &&
        context.flights.find(fill.read) == 0 && start_flight(context, fill) != 0) {
      ++asked;
    }
  }
  return answer_integer(session, asked);
}

Step run_hot_keys(Context& context, Session& session, std::span<const std::string_view> arguments) {
  const auto count =
      arguments.size() == 2 ? kDefaultHotKeys : base::parse_int(arguments[2]).value_or(0);
  if (arguments.size() > 3 || count < 1 || count > static_cast<std::int64_t>(Context::kHotKeys)) {
    return answer_error(session,
                        fmt::format("ERR say PANNIER HOTKEYS [count], 1 to {}", Context::kHotKeys));
  }
  return gather_hot_keys(context, session, static_cast<std::size_t>(count));
}

}  // namespace

bool is_cache_command(std::string_view subcommand) {
  return subcommand == "bypass" || subcommand == "hotkeys" || subcommand == "invalidate" ||
         subcommand == "warm";
}

Step run_cache_command(Context& context,
                       Session& session,
                       std::string_view subcommand,
                       std::span<const std::string_view> arguments) {
  if (subcommand == "bypass") {
    return run_bypass(context, session, arguments);
  }
  if (subcommand == "hotkeys") {
    return run_hot_keys(context, session, arguments);
  }
  return subcommand == "warm" ? run_warm(context, session, arguments)
                              : run_invalidate(context, session, arguments);
}

}  // namespace pannier::proxy
