#pragma once

#include "request_maker.hpp"

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// Random traffic over several connections: single requests, pipelines, transactions with WATCH,
// subscriptions. For keys that rules of all kinds hold for: see observe_test.cpp.
namespace pannier::test {

inline constexpr std::size_t kConnections = 3;  // RESP2, RESP3, RESP2 in another database

// More than once: more of the keys.
inline const std::vector<std::string> kPrefixes{"ttl:",
                                                "ttl:",
                                                "ttl:",
                                                "must:",
                                                "must:",
                                                "slide:",
                                                "cached:",
                                                "live:",
                                                "live:",
                                                "plain:",
                                                "plain:",
                                                "lim:a:",
                                                "lim:b:",
                                                "cnt:",
                                                "byt:",
                                                "den:",
                                                "few:",
                                                "big:",
                                                "free:"};
// What is charged in a transaction that fails is given back: only where limits act.
inline const std::vector<std::string> kLimited{"lim:a:", "lim:b:", "cnt:", "byt:"};

// Requests to one connection, sent at once.
struct Step {
  std::size_t connection = 0;
  std::vector<RequestMaker::Request> requests;
};

inline RequestMaker::Request plain(std::vector<std::string> words) {
  return {std::move(words), false, true};
}

class StepMaker {
 public:
  // `apart`: all keys of a request, and all of a transaction's commands, are ruled by the same
  // rules.
  StepMaker(unsigned seed, bool apart) : maker_(seed, kPrefixes), apart_(apart) {}

  [[nodiscard]] std::vector<Step> make(std::size_t requests) {
    std::size_t made = 0;
    while (made < requests) {
      add();
      made += steps_.back().requests.size();
    }
    return std::move(steps_);
  }

 private:
  std::string_view prefix() { return apart_ ? std::string_view(maker_.any_prefix()) : ""; }

  RequestMaker::Request any_request() { return maker_.next(prefix()); }

  RequestMaker::Request request_in_multi(std::string_view prefix) {
    for (;;) {
      RequestMaker::Request made = maker_.next(prefix);
      if (!made.tells_time && (made.is_forwarded || maker_.any(0, 9) == 0)) {
        return made;
      }
    }
  }

  Step& begin(std::size_t connection) {
    steps_.push_back({connection, {}});
    return steps_.back();
  }

  void add() {
    const auto connection = static_cast<std::size_t>(maker_.any(0, kConnections - 1));
    const int kind = maker_.any(0, 99);
    if (kind < 50) {
      begin(connection).requests.push_back(any_request());
    } else if (kind < 75) {
      Step& step = begin(connection);
      for (int i = maker_.any(2, 30); i > 0; --i) {
        step.requests.push_back(any_request());
      }
    } else if (kind < 90) {
      add_transaction(connection);
    } else if (kind < 97) {
      begin(connection).requests.push_back(plain({"SET", "cached:s1", "v"}));
      for (int i = 0; i < 3; ++i) {  // from memory, were it asked
        begin(connection).requests.push_back(plain({"GET", "cached:s1"}));
      }
    } else {
      Step& step = begin(connection);
      step.requests.push_back(plain({"SUBSCRIBE", "channel"}));
      step.requests.push_back(plain({"PING"}));
      step.requests.push_back(plain({"UNSUBSCRIBE", "channel"}));
    }
  }

  void add_transaction(std::size_t connection) {
    std::string prefix(this->prefix());
    while (std::find(kLimited.begin(), kLimited.end(), prefix) != kLimited.end()) {
      prefix = maker_.any_prefix();
    }
    if (maker_.any(0, 2) == 0) {
      begin(connection).requests.push_back(plain({"WATCH", maker_.any_key(prefix)}));
      if (maker_.any(0, 1) == 0) {
        begin((connection + 1) % kConnections).requests.push_back(maker_.next(prefix));
      }
    }
    Step& step = begin(connection);
    step.requests.push_back(plain({"MULTI"}));
    for (int i = maker_.any(1, 8); i > 0; --i) {
      step.requests.push_back(request_in_multi(prefix));
    }
    step.requests.push_back(plain({maker_.any(0, 9) == 0 ? "DISCARD" : "EXEC"}));
  }

  RequestMaker maker_;
  bool apart_;
  std::vector<Step> steps_;
};

}  // namespace pannier::test
