#include "near_cache_rig.hpp"

#include <csignal>
#include <stdexcept>
#include <utility>

namespace pannier::test {

namespace {

using namespace std::chrono_literals;

constexpr const char* kPatient =
    "lanes: { min: 2, max: 3 }, "
    "timeouts: { connect: 2s, attempt: 2s, read: 20s, write: 20s }";

constexpr const char* kNoClass = "a key of no class";

std::vector<std::string> server_arguments(Way way) {
  std::vector<std::string> out{"--enable-debug-command", "local"};
  if (way == Way::Redirect) {
    out.insert(out.end(), {"--rename-command", "HELLO", ""});
  }
  return out;
}

// `asked`: how often the key was read upstream so far.
template <typename Asked>
void keep_key(RawClient& client, const std::string& key, const Asked& asked) {
  const bool kept = wait_until([&] {
    static_cast<void>(client.call({"GET", key}));
    settle(client);
    const std::size_t before = asked();
    static_cast<void>(client.call({"GET", key}));
    return asked() == before;
  });
  if (!kept) {
    throw std::runtime_error(key + " is not kept");
  }
}

bool rung_is(const PannierProcess& pannier, std::string_view rung) {
  return pannier.metric_sum("pannier_coherence_rung", "rung=\"" + std::string(rung) + "\"") > 0;
}

}  // namespace

const char* to_string(Way way) {
  switch (way) {
    case Way::Broadcast:
      return "broadcast";
    case Way::PerKey:
      return "per key";
    case Way::Redirect:
      break;
  }
  return "redirect";
}

CacheOptions with(std::string cache) {
  CacheOptions out;
  out.cache = std::move(cache);
  return out;
}

std::string key_prefix(Way way) {
  return way == Way::PerKey ? "p:" : "product:";
}

PannierOptions options_of(const CacheOptions& options,
                          Way way,
                          const std::vector<std::string>& addresses) {
  PannierOptions out;
  out.upstream = upstream_of(
      addresses, kPatient + (options.upstream.empty() ? std::string() : ", " + options.upstream));
  out.rest = options.rest;
  out.listeners = options.listeners;
  out.policy = "version: 1\nclasses:\n  - { name: product, keys: [\"" + key_prefix(way) + "*\"], " +
               options.rule + " cache: { " + options.cache + " } }\n" + options.classes;
  return out;
}

void settle(RawClient& client) {
  static_cast<void>(client.call({"GET", kNoClass}));
}

CacheRig::CacheRig(Way of, const CacheOptions& options)
    : way(of),
      server(server_arguments(of)),
      watch(server),
      direct(server.port()),
      pannier(options_of(options, of, {server.address()})) {}

std::string CacheRig::foreign(const Words& words) {
  std::string reply = direct.call(words);
  // The server writes to its clients in its own order; behind this answer all of it is written.
  static_cast<void>(direct.call({"ECHO", "written"}));
  return reply;
}

void CacheRig::keep(RawClient& client, const std::string& name) {
  keep_key(client, key(name), [&] { return asked({"GET", key(name)}); });
}

void CacheRig::keep(RawClient& client, const std::string& name, const std::string& value) {
  foreign({"SET", key(name), value});
  keep(client, name);
}

ScriptedRig::ScriptedRig(Way of, const CacheOptions& options)
    : way(of),
      server(of != Way::Redirect),
      pannier(options_of(options, of, {server.address()})) {
  wait_until_coherent();
}

std::vector<RawClient> ScriptedRig::connect_apart() {
  std::vector<RawClient> out;
  int first = 0;
  while (out.size() < 2) {
    server.forget_requests();
    RawClient client = connect();
    settle(client);
    int lane = 0;
    for (const ScriptedServer::Request& request : server.requests()) {
      lane =
          request.words[0] == "GET" && request.words.at(1) == kNoClass ? request.connection : lane;
    }
    first = out.empty() ? lane : first;
    (out.empty() || lane != first ? out : idle_).push_back(std::move(client));
  }
  return out;
}

void ScriptedRig::keep(RawClient& client, const std::string& name) {
  keep_key(client, key(name), [&] { return asked({"GET", key(name)}); });
}

void ScriptedRig::keep(RawClient& client, const std::string& name, std::string_view value) {
  server.set(key(name), value);
  keep(client, name);
}

void ScriptedRig::keep_old(RawClient& client, const std::string& name) {
  keep(client, name, "v1");
  server.set(key(name), "v2");
  if (client.call({"GET", key(name)}) != bulk("v1")) {
    throw std::runtime_error(key(name) + " is not kept");
  }
}

bool ScriptedRig::is_coherent() const {
  return rung_is(pannier, way == Way::Redirect ? "redirect" : "resp3");
}

void ScriptedRig::wait_until_coherent() const {
  if (!wait_until([this] { return is_coherent(); })) {
    throw std::runtime_error("Pannier does not trust that it hears of changes");
  }
}

void ScriptedRig::wait_until_incoherent() const {
  if (!wait_until([this] { return rung_is(pannier, "none"); })) {
    throw std::runtime_error("Pannier still trusts that it hears of changes");
  }
}

Kept::Kept(ScriptedRig& rig) : client(rig.connect()), other(rig.connect()) {
  rig.keep_old(client, "a");
  rig.keep_old(client, "b");
}

Frozen::Frozen(const PannierProcess& pannier) : pannier_(pannier) {
  pannier_.signal(SIGSTOP);
}

Frozen::~Frozen() {
  pannier_.signal(SIGCONT);
}

}  // namespace pannier::test
