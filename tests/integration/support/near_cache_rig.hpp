#pragma once

#include "command_watch.hpp"
#include "pannier_process.hpp"
#include "raw_client.hpp"
#include "redis_server.hpp"
#include "scripted_server.hpp"

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace pannier::test {

// How Pannier hears of changes, and with that how the server is started and which keys are cached.
enum class Way {
  Broadcast,  // RESP3, by the prefix "product:"
  PerKey,     // RESP3, OPTIN: the prefix "p:" is too short to be registered
  Redirect    // without HELLO: a RESP2 subscriber, by the prefix "product:"
};

[[nodiscard]] const char* to_string(Way way);

// What the tests of the near cache differ in.
struct CacheOptions {
  std::string cache = "ttl: 60s, jitter: 0%";  // of `cache: { ... }` of the class
  std::string rule;                            // further keys of the class, each with a comma
  std::string classes;                         // further classes, one per line
  std::string upstream;                        // further keys of `upstream:`
  std::string rest;                            // further lines of pannier.yaml
  std::vector<std::string> listeners;
};

// Nothing but this of `cache: { ... }`.
[[nodiscard]] CacheOptions with(std::string cache);

// "product:" or "p:".
[[nodiscard]] std::string key_prefix(Way way);
// What PannierProcess wants to know. The class is called "product".
[[nodiscard]] PannierOptions options_of(const CacheOptions& options,
                                        Way way,
                                        const std::vector<std::string>& addresses);

// Answers that come behind all that this session's lane had to do before: what was asked behind a
// read on the same lane, such as its PTTL, is done then.
void settle(RawClient& client);

// One Pannier before one real server.
class CacheRig {
 public:
  explicit CacheRig(Way way = Way::Broadcast, const CacheOptions& options = {});

  [[nodiscard]] std::string key(std::string_view name) const {
    return key_prefix(way) + std::string(name);
  }

  [[nodiscard]] RawClient connect() const { return RawClient(pannier.port()); }

  // One command of somebody else's, straight to the server; when it returns, whatever the server
  // tells because of it is on its way.
  std::string foreign(const Words& words);
  // Reads the key until it is kept: then the next read of it makes no upstream read.
  void keep(RawClient& client, const std::string& name);
  // With a new value, which somebody else sets.
  void keep(RawClient& client, const std::string& name, const std::string& value);

  // So often was this asked of the server.
  [[nodiscard]] std::size_t asked(const Words& words) { return watch.count(words); }

  Way way;
  RedisServer server;
  CommandWatch watch;
  RawClient direct;
  PannierProcess pannier;
};

// One Pannier before a scripted server.
class ScriptedRig {
 public:
  explicit ScriptedRig(Way way = Way::Broadcast, const CacheOptions& options = {});

  [[nodiscard]] std::string key(std::string_view name) const {
    return key_prefix(way) + std::string(name);
  }

  [[nodiscard]] RawClient connect() const { return RawClient(pannier.port()); }

  // Two sessions that use different lanes.
  [[nodiscard]] std::vector<RawClient> connect_apart();
  void keep(RawClient& client, const std::string& name);
  void keep(RawClient& client, const std::string& name, std::string_view value);
  // Then it is kept as v1, while the server has v2 and tells nobody.
  void keep_old(RawClient& client, const std::string& name);

  [[nodiscard]] std::size_t asked(const Words& words) const { return server.count(words); }

  // Whether Pannier trusts that it hears of changes.
  [[nodiscard]] bool is_coherent() const;
  void wait_until_coherent() const;
  void wait_until_incoherent() const;

  Way way;
  ScriptedServer server;
  PannierProcess pannier;

 private:
  std::vector<RawClient> idle_;  // sessions that are open so that others are on other lanes
};

// The keys `a` and `b`, kept as v1, while the server has v2 and tells nobody.
struct Kept {
  explicit Kept(ScriptedRig& rig);

  RawClient client;
  RawClient other;
};

// Stops a Pannier as long as it lives: what is sent meanwhile is seen at once afterwards.
class Frozen {
 public:
  explicit Frozen(const PannierProcess& pannier);
  ~Frozen();
  Frozen(const Frozen&) = delete;
  Frozen& operator=(const Frozen&) = delete;

 private:
  const PannierProcess& pannier_;
};

}  // namespace pannier::test
