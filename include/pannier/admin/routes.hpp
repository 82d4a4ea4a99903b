#pragma once

#include "pannier/admin/http_server.hpp"
#include "pannier/base/address.hpp"
#include "pannier/base/log.hpp"
#include "pannier/metrics/snapshot.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

// What the two ports answer. Data comes in by callbacks, which run on the control thread.
namespace pannier::admin {

// About Pannier itself, never about upstream.
enum class Readiness : std::uint8_t {
  Starting,
  Ready,
  Draining
};

[[nodiscard]] const char* to_string(Readiness readiness);

struct ProbeSources {
  std::function<bool()> alive;  // the workers' loops turn
  std::function<Readiness()> readiness;
  std::function<std::string()> metrics;  // in Prometheus' text format
};

// GET /healthz, /readyz, /metrics; nothing else, no guard.
[[nodiscard]] RouteTable probe_routes(ProbeSources sources);

struct ListenerView {
  std::string address;
  std::string note;  // "strong reads", "reads: same-zone"; may be empty
};

// A key that is asked for often.
struct HotKeyView {
  std::string name;  // as it may be shown: hashed, unless `show_keys` says otherwise
  double per_second = 0;
  std::uint64_t count = 0;
  std::uint64_t error = 0;  // `count` is too high by at most so much
  std::uint64_t bytes = 0;  // of replies from memory
};

// What an action said.
struct ActionAnswer {
  bool good = false;
  std::string text;
};

struct AdminSources {
  base::Endpoint address;  // as configured: its host is a good Host header
  std::string token;       // empty: none is asked for
  std::vector<ListenerView> listeners;
  std::vector<std::string> config_lines;  // the configuration in words, without secrets
  std::function<Readiness()> readiness;
  std::function<metrics::Snapshot()> snapshot;
  std::function<void()> refresh;  // ask the nodes again
  std::function<void()> drain;    // as SIGTERM
  std::function<void(base::LogLevel)> set_log_level;
  // Looks at the policy's file again; answers on the control thread, with all faults if there are
  // any.
  std::function<void(std::function<void(bool good, std::string text)> done)> reload;
  // For a period ("10m") or "off"; false: it is neither, or too long.
  std::function<bool(std::string_view period)> bypass;
  // Answers on the control thread how many kept replies were removed.
  std::function<void(std::vector<std::string> keys, std::function<void(std::size_t)> done)>
      invalidate;
  // Answers on the control thread, the most used first.
  std::function<void(std::size_t most, std::function<void(std::vector<HotKeyView>)> done)> hot_keys;
  // Begins a rehearsal of failure; answers on the control thread. Empty: the configuration allows
  // none, and there are no such routes.
  std::function<void(std::string form, std::function<void(ActionAnswer)> done)> begin_fault;
  std::function<void(std::function<void(std::size_t)> done)> clear_faults;  // how many there were
};

// GET /, /topology, /stats, /config, /hotkeys?count=N; POST /refresh, /drain, /reload (422: the
// policy's file has faults, the old policy stays), /log-level?level=LEVEL, /bypass?for=PERIOD|off,
// /invalidate (keys, one per line). With `fault_injection: true` GET, POST and DELETE /faults and
// POST /faults/clear. A POST needs the header `X-Pannier: 1`, so that no web page can send one.
// With a token everything needs it; without one the Host header must name this machine (a page that
// rebinds its DNS name does not).
[[nodiscard]] RouteTable admin_routes(AdminSources sources);

}  // namespace pannier::admin
