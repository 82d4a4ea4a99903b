#include "pannier/net/zone_finder.hpp"

#include "pannier/base/address.hpp"
#include "pannier/base/bytes.hpp"
#include "pannier/base/clock.hpp"
#include "pannier/base/log.hpp"
#include "pannier/config/loader.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include <algorithm>
#include <chrono>
#include <exception>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace pannier::net {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;
using boost::system::error_code;

constexpr auto kWithin = std::chrono::seconds(1);
constexpr std::size_t kMaxBody = 256 * 1024;  // ECS describes every container of the task
constexpr std::size_t kMaxName = 64;
constexpr std::size_t kMaxToken = 1024;

struct Zone {
  std::string name;
  std::string source;  // or, without a name, what was tried and failed
};

// A zone's name goes into logs, metrics and comparisons: one printable word or nothing.
std::string as_word(std::string_view text, std::size_t limit) {
  constexpr std::string_view kSpace = " \t\r\n";
  const auto first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) {
    return {};
  }
  text = text.substr(first, text.find_last_not_of(kSpace) - first + 1);
  const bool is_word = text.size() <= limit && std::all_of(text.begin(), text.end(), [](char c) {
                         return c > ' ' && c < 0x7F;
                       });
  return is_word ? std::string(text) : std::string();
}

std::string as_zone_name(std::string_view text) {
  return as_word(text, kMaxName);
}

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text(4 * kMaxName, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  return text;
}

// What needs no network.
Zone find_here(const config::Config& config, const config::Environment& environment) {
  if (config.zone != "auto" && config.zone != "imds") {
    return {config.zone, "configuration"};
  }
  if (auto name = as_zone_name(environment.variable("PANNIER_ZONE").value_or("")); !name.empty()) {
    return {std::move(name), "PANNIER_ZONE"};
  }
  if (config.zone_file.empty()) {
    return {};
  }
  if (auto name = as_zone_name(read_file(config.zone_file)); !name.empty()) {
    return {std::move(name), config.zone_file};
  }
  return {"", config.zone_file + " names none"};
}

// The outcome of one more place to ask, keeping what the places before it said.
Zone next_of(const Zone& before, Zone zone) {
  if (zone.name.empty() && !before.source.empty()) {
    zone.source = before.source + "; " + zone.source;
  }
  return zone;
}

// "http://169.254.170.2/v4/ID" or "169.254.169.254:80". Only literal addresses: metadata endpoints
// have no names, and a look-up could take longer than we want to wait.
struct Url {
  tcp::endpoint endpoint;
  std::string host;
  std::string path;
};

std::optional<Url> parse_url(std::string_view text) {
  constexpr std::string_view kScheme = "http://";
  if (text.starts_with(kScheme)) {
    text.remove_prefix(kScheme.size());
  }
  const auto slash = text.find('/');
  const std::string authority(text.substr(0, slash));
  base::Endpoint where;
  if (!base::Endpoint::parse(authority, where) &&
      !base::Endpoint::parse(authority + ":80", where)) {
    return std::nullopt;
  }
  error_code error;
  const auto address = asio::ip::make_address(where.host, error);
  if (error) {
    return std::nullopt;
  }
  const auto path = slash == std::string_view::npos ? std::string_view() : text.substr(slash);
  return Url{tcp::endpoint(address, where.port), authority, std::string(path)};
}

struct Question {
  http::verb verb = http::verb::get;
  Url url;
  std::string header;
  std::string value;
  base::TimePoint deadline;
};

struct Answer {
  std::string body;
  std::string error;
};

asio::awaitable<Answer> ask(Question question) {
  const auto executor = co_await asio::this_coro::executor;
  beast::tcp_stream stream(executor);
  stream.expires_at(question.deadline);  // for all that follows
  http::request<http::empty_body> request(question.verb, question.url.path, 11);
  request.set(http::field::host, question.url.host);
  request.set(http::field::connection, "close");
  if (!question.header.empty()) {
    request.set(question.header, question.value);
  }
  Answer answer;
  error_code error;
  auto token = asio::redirect_error(asio::use_awaitable, error);
  co_await stream.async_connect(question.url.endpoint, token);
  if (!error) {
    co_await http::async_write(stream, request, token);
  }
  beast::flat_buffer buffer;
  http::response_parser<http::string_body> parser;
  parser.body_limit(kMaxBody);
  if (!error) {
    co_await http::async_read(stream, buffer, parser, token);
  }
  if (error) {
    answer.error = error == beast::error::timeout ? "no answer within 1s" : error.message();
  } else if (parser.get().result() != http::status::ok) {
    answer.error = "status " + std::to_string(parser.get().result_int());
  } else {
    answer.body = std::move(parser.get().body());
  }
  co_return answer;
}

std::string zone_of_task(const std::string& json) {
  error_code error;
  const auto task = boost::json::parse(json, error);
  const auto* object = error ? nullptr : task.if_object();
  const auto* zone = object == nullptr ? nullptr : object->if_contains("AvailabilityZone");
  const auto* name = zone == nullptr ? nullptr : zone->if_string();
  return name == nullptr ? std::string()
                         : as_zone_name(std::string_view(name->data(), name->size()));
}

asio::awaitable<Zone> ask_ecs(std::string uri, base::TimePoint deadline) {
  Zone zone;
  const auto url = parse_url(uri);
  if (!url) {
    zone.source = "ECS: not an address: " + base::printable(uri);
    co_return zone;
  }
  Question question;
  question.url = *url;
  question.url.path += "/task";
  question.deadline = deadline;
  const Answer answer = co_await ask(question);
  zone.name = zone_of_task(answer.body);
  if (!zone.name.empty()) {
    zone.source = "ECS";
  } else {
    zone.source = "ECS: " + (answer.error.empty() ? "the task has no zone" : answer.error);
  }
  co_return zone;
}

asio::awaitable<Zone> ask_imds(std::string address, base::TimePoint deadline) {
  Zone zone;
  const auto url = parse_url(address);
  if (!url) {
    zone.source = "IMDS: not an address: " + base::printable(address);
    co_return zone;
  }
  Question token;
  token.verb = http::verb::put;
  token.url = *url;
  token.url.path = "/latest/api/token";
  token.header = "X-aws-ec2-metadata-token-ttl-seconds";
  token.value = "60";
  token.deadline = deadline;
  const Answer granted = co_await ask(token);
  if (!granted.error.empty()) {
    zone.source = "IMDS: " + granted.error;
    co_return zone;
  }
  Question question;
  question.url = *url;
  question.url.path = "/latest/meta-data/placement/availability-zone";
  question.header = "X-aws-ec2-metadata-token";
  question.value = as_word(granted.body, kMaxToken);
  question.deadline = deadline;
  const Answer answer = co_await ask(question);
  zone.name = as_zone_name(answer.body);
  if (!zone.name.empty()) {
    zone.source = "IMDS";
  } else {
    zone.source = "IMDS: " + (answer.error.empty() ? "no name of a zone" : answer.error);
  }
  co_return zone;
}

// `ecs` and `imds` are empty where they are not to be asked.
asio::awaitable<Zone> ask_network(Zone before, std::string ecs, std::string imds) {
  const auto deadline = base::Clock::now() + kWithin;
  Zone zone = before;
  if (!ecs.empty()) {
    const Zone told = co_await ask_ecs(ecs, deadline);
    zone = next_of(zone, told);
  }
  if (zone.name.empty() && !imds.empty()) {
    const Zone told = co_await ask_imds(imds, deadline);
    zone = next_of(zone, told);
  }
  co_return zone;
}

void tell(const ZoneFound& found, const Zone& zone) {
  if (zone.name.empty()) {
    base::log_info("zone", "own zone is not known ({}): reads prefer no zone", zone.source);
  } else {
    base::log_info("zone", "own zone is {} (from {})", zone.name, zone.source);
  }
  found(zone.name, zone.source);
}

}  // namespace

void find_zone(asio::io_context& io, const config::Config& config, ZoneFound found) {
  const config::Environment environment = config::real_environment();
  Zone here = find_here(config, environment);
  const std::string ecs = environment.variable("ECS_CONTAINER_METADATA_URI_V4").value_or("");
  const std::string imds = config.zone == "imds" ? config.imds_address : "";
  if (!here.name.empty() || (ecs.empty() && imds.empty())) {
    if (here.source.empty()) {
      here.source = "neither configuration nor platform names it";
    }
    tell(found, here);
    return;
  }
  auto on_end = [found = std::move(found)](std::exception_ptr failure, Zone zone) {
    if (failure) {
      zone = Zone{"", "asking failed"};
    }
    tell(found, zone);
  };
  asio::co_spawn(io, ask_network(std::move(here), ecs, imds), std::move(on_end));
}

}  // namespace pannier::net
