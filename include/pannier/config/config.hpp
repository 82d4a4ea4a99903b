#pragma once

#include "pannier/base/address.hpp"
#include "pannier/base/log.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

// What pannier.yaml says, as plain values with the defaults in place. Made by the loader, checked
// whole, then immutable; shared by all threads. Sizes are bytes.
namespace pannier::config {

using Milliseconds = std::chrono::milliseconds;

enum class Reads : std::uint8_t {
  Primary,
  Replica,
  SameZone,
  Nearest
};

enum class UpstreamKind : std::uint8_t {
  Single,
  Replicated
};

// What AUTH on a listener means without `users:`.
enum class AuthPolicy : std::uint8_t {
  Accept,  // any secret is fine, and ignored
  Reject   // Redis's own refusal: no password is set
};

struct Listener {
  base::Endpoint address;
  std::optional<std::uint32_t> mode;  // of a Unix socket's file
  bool strong = false;                // primary only
  std::optional<Reads> reads;
  AuthPolicy auth = AuthPolicy::Accept;
};

struct User {
  std::string name;
  std::string password;
};

struct Node {
  base::Endpoint address;
  std::string zone;  // empty: not known
};

struct Credentials {
  std::string user;  // empty: the default user
  std::string password;
};

struct LanePool {
  std::uint32_t min = 1;
  std::uint32_t max = 2;
};

struct PinnedPool {
  std::uint32_t min = 1;
  std::uint32_t max = 512;
  Milliseconds wait{1000};
  std::uint32_t reserved_for_multi = 32;
};

struct Timeouts {
  Milliseconds connect{250};
  Milliseconds attempt{150};
  Milliseconds read{500};
  Milliseconds write{2000};
  Milliseconds slow{30000};
};

struct Upstream {
  UpstreamKind kind = UpstreamKind::Single;
  std::vector<Node> nodes;
  std::optional<base::Endpoint> reader;  // each of its addresses is one more node
  std::optional<Credentials> auth;
  LanePool lanes;
  PinnedPool pinned;
  Timeouts timeouts;
  Milliseconds probe{400};
  Milliseconds read_your_writes{1000};
  std::uint32_t retries = 20;  // further tries, as percent of a node's requests; 0: none
  bool allow_monitor = false;
};

struct Probe {
  bool enabled = true;
  base::Endpoint address{"127.0.0.1", 9180, ""};
};

struct Admin {
  bool enabled = true;
  base::Endpoint address{"127.0.0.1", 9181, ""};
  std::string token;  // from token_file; empty: loopback only
  bool show_keys = false;
};

// How names are looked up.
struct Dns {
  std::vector<base::Endpoint> servers;  // literal addresses; empty: those of resolv.conf
};

// How much may wait for a client that does not read. 0: no such limit.
struct OutputLimit {
  std::uint64_t hard = 0;    // closed at once
  std::uint64_t soft = 0;    // closed when it stays over it for `soft_for`
  Milliseconds soft_for{0};  // 0: at once
};

struct OutputLimits {
  OutputLimit normal;
  OutputLimit pubsub{std::uint64_t{32} << 20U, std::uint64_t{8} << 20U, Milliseconds{60000}};
};

struct Slowlog {
  std::chrono::microseconds slower_than{10000};
  std::uint32_t max_entries = 128;
};

struct Log {
  base::LogLevel level = base::LogLevel::Info;
  base::LogFormat format = base::LogFormat::Text;
};

struct Config {
  std::vector<Listener> listen;  // default: 127.0.0.1:6379
  Probe probe;
  Admin admin;
  std::uint32_t workers = 1;
  std::string workers_source;       // "default", "FILE:LINE" or "cgroup cpu quota"
  std::uint64_t memory = 0;         // one budget for everything
  std::string memory_source;        // as above, or "half of the cgroup's limit"
  std::uint64_t cgroup_memory = 0;  // the cgroup's limit; 0: none
  std::uint64_t near_cache = 0;     // at most half of `memory`
  std::string zone = "auto";        // "auto", "imds" or a name
  std::string zone_file;            // a downward-API file, as open() wants it; empty: none
  std::string imds_address = "169.254.169.254:80";
  Reads reads = Reads::Primary;
  std::uint32_t maxclients = 10000;
  OutputLimits output_limits;
  Upstream upstream;
  Dns dns;
  std::vector<User> users;
  std::string service = "pannier";  // names its upstream connections
  std::string policy;               // a file, as open() wants it; empty: none
  Slowlog slowlog;
  Log log;
  bool fault_injection = false;  // the admin port may start rehearsals of failure
};

[[nodiscard]] const char* to_string(Reads reads);

}  // namespace pannier::config
