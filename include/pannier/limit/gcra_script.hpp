#pragma once

#include <string_view>

// `take` (gcra.hpp) as a script, for a limit that is kept on the primary and shared by all who ask:
// its clock is the only one, and nothing else runs in between.
namespace pannier::limit {

// KEYS[1]: where the limit is kept. ARGV: Rate::limit, interval, tolerance, and the cost of the
// quantity. Answers with the integers of a Verdict: limited (0 or 1), limit, remaining,
// retry_after, reset_after; times in microseconds.
//
// Numbers are doubles there: '%.0f' writes all 16 digits of a time, tostring would not. Errors of
// GET and SET are given back as they are, without the script's name behind them. The text is kept
// by servers under its hash: changing a byte changes kGcraScriptSha.
inline constexpr std::string_view kGcraScript =
    R"lua(local limit, interval = tonumber(ARGV[1]), tonumber(ARGV[2])
local tolerance, cost = tonumber(ARGV[3]), tonumber(ARGV[4])
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local kept = redis.pcall('GET', KEYS[1])
if type(kept) == 'table' then return kept end
local begin = kept and tonumber(kept) or now
if kept and not (tonumber(kept) and begin < 2^53) then
  return redis.error_reply('Cell error: the key holds something else than a limit')
end
begin = math.max(begin, now)
local function remaining(reset)
  return math.max(0, math.min(limit, math.floor((tolerance - reset) / interval)))
end
local early = begin + cost - tolerance - now
if early > 0 then
  local retry = cost <= tolerance and early or -1
  return {1, limit, remaining(begin - now), retry, begin - now}
end
local reset = begin + cost - now
if cost > 0 then
  local ms = math.max(1, math.ceil(reset / 1000))
  local set = redis.pcall('SET', KEYS[1], string.format('%.0f', begin + cost), 'PX', ms)
  if set.err then return set end
end
return {0, limit, remaining(reset), -1, reset}
)lua";

inline constexpr std::string_view kGcraScriptSha = "35ba6c6b6ee5dc124b2f80142ec8c47f9bf255f0";

}  // namespace pannier::limit
