#include "tracking_requests.hpp"

#include "pannier/base/bytes.hpp"
#include "pannier/resp/request_parser.hpp"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <span>

namespace pannier::upstream {
namespace {

std::string request(const std::vector<std::string_view>& arguments) {
  std::string out;
  resp::append_request(out, arguments);
  return out;
}

// Long enough for any canary to follow, short enough that the key goes when Pannier has gone.
constexpr std::string_view kCanaryTtlSeconds = "60";

}  // namespace

std::vector<std::string> prefixes_to_register(const policy::TrackingPlan& plan) {
  std::vector<std::string> sorted = plan.prefixes;
  sorted.emplace_back(kCanaryKey);
  std::sort(sorted.begin(), sorted.end());
  std::vector<std::string> out;
  for (std::string& prefix : sorted) {
    // What covers it sorts before it, and everything between the two is covered as well.
    if (out.empty() || !prefix.starts_with(out.back())) {
      out.push_back(std::move(prefix));
    }
  }
  return out;
}

std::string track_request(const std::vector<std::string>& prefixes, std::int64_t redirect_to) {
  const std::string target = std::to_string(redirect_to);
  std::vector<std::string_view> arguments{"CLIENT", "TRACKING", "ON"};
  if (redirect_to != 0) {
    arguments.insert(arguments.end(), {"REDIRECT", target});
  }
  arguments.emplace_back("BCAST");
  for (const std::string& prefix : prefixes) {
    arguments.insert(arguments.end(), {"PREFIX", prefix});
  }
  return request(arguments);
}

std::vector<std::string_view> channels_of(Rung rung) {
  if (rung == Rung::Redirect) {
    return {"__redis__:invalidate"};
  }
  return {kInvalidateChannel, kFlushChannel, kCanaryKey};
}

std::string subscribe_request(Rung rung) {
  std::vector<std::string_view> arguments = channels_of(rung);
  arguments.insert(arguments.begin(), "SUBSCRIBE");
  return request(arguments);
}

std::string canary_request(Rung rung, std::string_view value) {
  if (rung == Rung::Channel) {
    return request({"PUBLISH", kCanaryKey, value});
  }
  return request({"SET", kCanaryKey, value, "EX", kCanaryTtlSeconds});
}

std::string get_canary_request() {
  return request({"GET", kCanaryKey});
}

std::string info_request() {
  return request({"INFO", "server"});
}

std::string ping_request() {
  return request({"PING"});
}

std::string info_field(std::string_view info, std::string_view name) {
  const std::string wanted = std::string(name) + ":";
  for (std::size_t at = 0; at < info.size();) {
    const auto end = std::min(info.find("\r\n", at), info.size());
    const std::string_view line = info.substr(at, end - at);
    if (line.starts_with(wanted)) {
      return std::string(line.substr(wanted.size()));
    }
    at = end + 2;
  }
  return {};
}

std::string_view text_of_reply(std::string_view reply) {
  constexpr std::size_t kFormat = 4;  // "txt:" of a verbatim string
  const auto line_end = reply.find("\r\n");
  if (line_end == std::string_view::npos) {
    return reply;
  }
  const char type = reply[0];
  if (type != '$' && type != '=') {
    return reply.substr(0, line_end);
  }
  const std::size_t start = std::min(line_end + 2 + (type == '=' ? kFormat : 0), reply.size());
  return reply.substr(start, reply.size() - start - (reply.size() - start >= 2 ? 2 : 0));
}

bool is_passing(std::string_view error) {
  constexpr std::array<std::string_view, 14> kStarts{"-LOADING",
                                                     "-BUSY",
                                                     "-MASTERDOWN",
                                                     "-READONLY",
                                                     "-MISCONF",
                                                     "-OOM",
                                                     "-NOREPLICAS",
                                                     "-CLUSTERDOWN",
                                                     "-TRYAGAIN",
                                                     "-NOAUTH",
                                                     "-WRONGPASS",
                                                     "-DENIED",
                                                     "-ERR max number of clients",
                                                     "-ERR invalid password"};
  return std::any_of(kStarts.begin(), kStarts.end(), [error](std::string_view start) {
    return error.starts_with(start);
  });
}

}  // namespace pannier::upstream
