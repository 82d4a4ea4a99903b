#include "pannier/admin/routes.hpp"

#include "pannier/admin/health_client.hpp"

#include "http_fixture.hpp"
#include "sample_snapshot.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <atomic>
#include <string>
#include <vector>

using namespace pannier::admin;
using pannier::base::Endpoint;
using pannier::base::LogLevel;

namespace {

const std::string kLocal = "Host: localhost\r\n";
const std::string kAction = kLocal + "X-Pannier: 1\r\n";

struct Calls {
  std::atomic<int> refresh{0};
  std::atomic<int> drain{0};
  std::atomic<int> level{-1};
  std::atomic<int> reloads{0};
  std::vector<std::string> bypassed;
  std::vector<std::string> invalidated;
};

AdminSources sources(Calls& calls, const std::string& token = "") {
  AdminSources out;
  out.address = Endpoint{"127.0.0.1", 9181, ""};
  out.token = token;
  out.listeners = {{"127.0.0.1:6379", ""}, {"127.0.0.1:6380", "strong reads"}};
  out.config_lines = {"workers: 1 (default)", "memory: 256MiB"};
  out.readiness = [] {
    return Readiness::Ready;
  };
  out.snapshot = sample_snapshot;
  out.refresh = [&calls] {
    ++calls.refresh;
  };
  out.drain = [&calls] {
    ++calls.drain;
  };
  out.set_log_level = [&calls](LogLevel level) {
    calls.level = static_cast<int>(level);
  };
  out.bypass = [&calls](std::string_view period) {
    calls.bypassed.emplace_back(period);
    return period == "10m" || period == "off";
  };
  out.reload = [&calls](const std::function<void(bool, std::string)>& done) {
    const bool good = ++calls.reloads == 1;
    done(good, good ? "generation 2 hash 00" : "policy.yaml:1:1: wrong\n1 fault(s)");
  };
  out.invalidate = [&calls](std::vector<std::string> keys, std::function<void(std::size_t)> done) {
    calls.invalidated = std::move(keys);
    done(calls.invalidated.size());
  };
  out.hot_keys = [](std::size_t most, std::function<void(std::vector<HotKeyView>)> done) {
    done(std::vector<HotKeyView>(std::min<std::size_t>(most, 3), {"#00ff", 2.5, 10, 1, 99}));
  };
  return out;
}

}  // namespace

TEST_CASE("probe_routes: health, readiness and metrics, nothing else") {
  std::atomic<bool> alive{true};
  std::atomic<Readiness> state{Readiness::Starting};
  const RunningServer server(probe_routes({[&] { return alive.load(); },
                                           [&] { return state.load(); },
                                           [] {
                                             return std::string("pannier_x 1\n");
                                           }}));
  CHECK(body_of(ask(server, "GET", "/healthz")) == "ok\n");
  CHECK(status_of(ask(server, "HEAD", "/healthz")) == 200);
  CHECK(status_of(ask(server, "GET", "/readyz")) == 503);
  CHECK(body_of(ask(server, "GET", "/readyz")) == "starting\n");
  state = Readiness::Ready;
  CHECK(status_of(ask(server, "GET", "/readyz")) == 200);
  CHECK(body_of(ask(server, "GET", "/readyz")) == "ready\n");
  state = Readiness::Draining;
  CHECK(body_of(ask(server, "GET", "/readyz")) == "draining\n");
  CHECK(status_of(ask(server, "GET", "/healthz")) == 200);
  alive = false;
  CHECK(status_of(ask(server, "GET", "/healthz")) == 503);
  const auto metrics = ask(server, "GET", "/metrics", "Host: 10.1.2.3:9180\r\n");
  CHECK(contains(metrics, "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
  CHECK(body_of(metrics) == "pannier_x 1\n");
  for (const char* path : {"/", "/topology", "/stats", "/config", "/drain", "/refresh"}) {
    CHECK(status_of(ask(server, "GET", path)) == 404);
    CHECK(status_of(ask(server, "POST", path, kAction)) == 404);
  }
}

TEST_CASE("admin_routes: the pages are there") {
  Calls calls;
  const RunningServer server(admin_routes(sources(calls)));
  const auto page = ask(server, "GET", "/");
  CHECK(contains(page, "Content-Type: text/html; charset=utf-8\r\n"));
  CHECK(contains(page, "Content-Security-Policy: default-src 'none'"));
  CHECK(contains(page, "127.0.0.1:6380"));
  CHECK(contains(ask(server, "GET", "/topology"), "Content-Type: application/json\r\n"));
  CHECK(contains(ask(server, "GET", "/stats"), "\"state\":\"ready\""));
  CHECK(body_of(ask(server, "GET", "/config")) == "workers: 1 (default)\nmemory: 256MiB\n");
}

TEST_CASE("admin_routes: actions run once, and only by POST with the header") {
  Calls calls;
  const RunningServer server(admin_routes(sources(calls)));
  CHECK(status_of(ask(server, "GET", "/drain")) == 405);
  CHECK(status_of(ask(server, "POST", "/drain")) == 403);
  CHECK(calls.drain == 0);
  CHECK(status_of(ask(server, "POST", "/drain", kAction)) == 202);
  CHECK(calls.drain == 1);
  CHECK(status_of(ask(server, "POST", "/refresh", kAction)) == 202);
  CHECK(calls.refresh == 1);
}

TEST_CASE("admin_routes: the log's level is set by name") {
  Calls calls;
  const RunningServer server(admin_routes(sources(calls)));
  CHECK(status_of(ask(server, "POST", "/log-level?level=debug", kAction)) == 200);
  CHECK(calls.level == static_cast<int>(LogLevel::Debug));
  CHECK(status_of(ask(server, "POST", "/log-level?x=1&level=warn", kAction)) == 200);
  CHECK(calls.level == static_cast<int>(LogLevel::Warn));
  for (const char* query : {"", "?level=", "?level", "?level=verbose", "?levels=debug", "?&="}) {
    CHECK(status_of(ask(server, "POST", std::string("/log-level") + query, kAction)) == 400);
  }
  CHECK(calls.level == static_cast<int>(LogLevel::Warn));
}

TEST_CASE("admin_routes: the policy is loaded again, or its faults are told") {
  Calls calls;
  const RunningServer server(admin_routes(sources(calls)));
  CHECK(status_of(ask(server, "POST", "/reload", kLocal)) == 403);
  CHECK(status_of(ask(server, "GET", "/reload", kAction)) == 405);
  CHECK(calls.reloads == 0);
  CHECK(body_of(ask(server, "POST", "/reload", kAction)) == "generation 2 hash 00\n");
  const auto refused = ask(server, "POST", "/reload", kAction);
  CHECK(status_of(refused) == 422);
  CHECK(body_of(refused) == "policy.yaml:1:1: wrong\n1 fault(s)\n");
}

TEST_CASE("admin_routes: the near cache is bypassed for a period") {
  Calls calls;
  const RunningServer server(admin_routes(sources(calls)));
  CHECK(status_of(ask(server, "POST", "/bypass?for=10m")) == 403);
  CHECK(calls.bypassed.empty());
  CHECK(body_of(ask(server, "POST", "/bypass?for=10m", kAction)) == "bypass 10m\n");
  CHECK(body_of(ask(server, "POST", "/bypass?for=off", kAction)) == "bypass off\n");
  CHECK(status_of(ask(server, "POST", "/bypass?for=ever", kAction)) == 400);
  CHECK(status_of(ask(server, "POST", "/bypass", kAction)) == 400);
  CHECK(calls.bypassed == std::vector<std::string>{"10m", "off", "ever", ""});
}

TEST_CASE("admin_routes: keys are invalidated, one per line of the body") {
  Calls calls;
  const RunningServer server(admin_routes(sources(calls)));
  const auto post = [&](const std::string& body, const std::string& headers = kAction) {
    RawClient client(server);
    client.send("POST /invalidate HTTP/1.1\r\n" + headers +
                "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
    return client.receive();
  };
  CHECK(body_of(post("product:1\nproduct 2\r\n\n")) == "removed 2\n");
  CHECK(calls.invalidated == std::vector<std::string>{"product:1", "product 2\r"});
  CHECK(body_of(post("one")) == "removed 1\n");
  CHECK(status_of(post("")) == 400);
  CHECK(status_of(post("\n\n")) == 400);
  CHECK(status_of(post("k", kLocal)) == 403);
  CHECK(calls.invalidated == std::vector<std::string>{"one"});
}

TEST_CASE("admin_routes: hot keys as many as are asked for") {
  Calls calls;
  const RunningServer server(admin_routes(sources(calls)));
  const std::string one = R"({"key":"#00ff","per_second":2.5,"count":10,"error":1,"bytes":99})";
  CHECK(body_of(ask(server, "GET", "/hotkeys?count=1")) == "[" + one + "]\n");
  CHECK(body_of(ask(server, "GET", "/hotkeys")) == "[" + one + "," + one + "," + one + "]\n");
  for (const char* query : {"0", "-1", "129", "x", ""}) {
    CHECK(status_of(ask(server, "GET", std::string("/hotkeys?count=") + query)) == 400);
  }
}

TEST_CASE("admin_routes: a rebound name is refused on every path") {
  Calls calls;
  const RunningServer server(admin_routes(sources(calls)));
  for (const char* path : {"/", "/stats", "/config", "/nothing"}) {
    CHECK(status_of(ask(server, "GET", path, "Host: evil.example:9181\r\n")) == 403);
  }
  CHECK(status_of(ask(server, "POST", "/drain", "Host: evil.example:9181\r\nX-Pannier: 1\r\n")) ==
        403);
  CHECK(calls.drain == 0);
}

TEST_CASE("admin_routes: with a token nothing is told without it") {
  Calls calls;
  const RunningServer server(admin_routes(sources(calls, "s3cret")));
  const auto refused = ask(server, "GET", "/stats");
  CHECK(status_of(refused) == 401);
  CHECK(contains(refused, "WWW-Authenticate: Bearer\r\n"));
  CHECK_FALSE(contains(refused, "s3cret"));
  CHECK(status_of(ask(server, "GET", "/nothing")) == 401);
  CHECK(status_of(ask(server, "POST", "/drain", kAction)) == 401);
  CHECK(status_of(ask(server, "POST", "/drain", kAction + "Authorization: Bearer wrong!\r\n")) ==
        401);
  CHECK(calls.drain == 0);
  const std::string token = "Authorization: Bearer s3cret\r\n";
  CHECK(status_of(ask(server, "GET", "/stats", "Host: sidecar.internal\r\n" + token)) == 200);
  CHECK(status_of(ask(server, "POST", "/drain", kLocal + token)) == 403);
  CHECK(status_of(ask(server, "POST", "/drain", kAction + token)) == 202);
  CHECK(calls.drain == 1);
}

TEST_CASE("run_health: says whether the probe port answers ok") {
  std::atomic<bool> alive{true};
  std::optional<RunningServer> server(std::in_place,
                                      probe_routes({[&] { return alive.load(); },
                                                    [] { return Readiness::Draining; },
                                                    [] {
                                                      return std::string();
                                                    }}));
  auto endpoint = server->endpoint();
  CHECK(run_health(endpoint) == 0);
  endpoint.host = "localhost";
  CHECK(run_health(endpoint) == 0);
  endpoint.host = "0.0.0.0";
  CHECK(run_health(endpoint) == 0);
  alive = false;
  CHECK(run_health(endpoint) == 1);
  server.reset();
  CHECK(run_health(endpoint) == 1);
  CHECK(run_health(Endpoint{"", 0, "/nowhere/pannier.sock"}) == 1);
}

TEST_CASE("run_health: gives up after 2 s") {
  // Listens, never answers.
  const int mute = ::socket(AF_INET, SOCK_STREAM, 0);
  auto address = pannier::base::SocketAddress::from_ip("127.0.0.1", 0);
  REQUIRE(::bind(mute, reinterpret_cast<const sockaddr*>(&address.storage), address.length) == 0);
  REQUIRE(::listen(mute, 1) == 0);
  ::getsockname(mute, reinterpret_cast<sockaddr*>(&address.storage), &address.length);
  Endpoint endpoint;
  REQUIRE(Endpoint::parse(address.to_string(), endpoint));
  const auto start = std::chrono::steady_clock::now();
  CHECK(run_health(endpoint) == 1);
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::milliseconds(2900));
  ::close(mute);
}
