#pragma once

#include "pannier/proxy/local_commands.hpp"

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

// A session without a socket: says commands to run_local and keeps what they did.
namespace pannier::proxy {

struct LocalSession {
  LocalSession() {
    state.id = 7;
    state.remote_address = "127.0.0.1:43180";
    state.local_address = "127.0.0.1:6379";
    facts.version = "7.0.15";
    facts.now = base::TimePoint{} + std::chrono::hours(1);
    state.created = facts.now - std::chrono::seconds(12);
    state.last_active = facts.now - std::chrono::seconds(3);
  }

  LocalResult run(std::initializer_list<std::string_view> words) {
    const std::vector<std::string_view> arguments(words);
    return run_local(*command::find(arguments), arguments, state, facts);
  }

  std::string say(std::initializer_list<std::string_view> words) { return run(words).reply; }

  SessionState state;
  ServerFacts facts;
};

}  // namespace pannier::proxy
