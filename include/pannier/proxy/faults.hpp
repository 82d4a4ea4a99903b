#pragma once

#include "pannier/base/clock.hpp"
#include "pannier/command/command.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

// Failures on purpose, so that a team sees what its service makes of them before they happen. Only
// the admin port starts them, only where pannier.yaml says `fault_injection: true`, and each ends
// by itself.
namespace pannier::proxy {

enum class FaultAction : std::uint8_t {
  Delay,  // the request waits, then goes on
  Error,  // it is answered with an error and sent nowhere
  Drop,   // it is sent nowhere, and its deadline answers it
  Close   // it is sent, and the lane that it took is lost
};

// What the admin port was told. Empty fields fit every request.
struct FaultRule {
  static constexpr auto kLongest = std::chrono::minutes(10);
  static constexpr auto kLongestDelay = std::chrono::seconds(30);

  std::string key_class;
  const command::CommandSpec* row = nullptr;
  std::string node;      // as configured: host:port
  double percent = 100;  // of the requests that fit
  FaultAction action = FaultAction::Delay;
  std::chrono::milliseconds delay{0};  // of Delay
  std::string text;                    // of Error, with its first word
  std::chrono::milliseconds period{0};

  [[nodiscard]] bool fits(std::string_view class_name,
                          const command::CommandSpec& command,
                          std::string_view node_name) const {
    return (key_class.empty() || key_class == class_name) && (row == nullptr || row == &command) &&
           (node.empty() || node == node_name);
  }
};

// "class=product&command=GET&percent=10&action=delay:200ms&for=60s", with %XX and + as forms have
// them. Else what is wrong with it, for who wrote it. Pure.
[[nodiscard]] std::variant<FaultRule, std::string> parse_fault(std::string_view form);

// "delay 200ms: class product, command get, any node, 10% of requests".
[[nodiscard]] std::string in_words(const FaultRule& rule);

// One that is on.
struct ActiveFault {
  std::uint64_t id = 0;
  FaultRule rule;
  base::TimePoint until{};
  mutable std::atomic<std::uint64_t> hits{0};
};

using FaultSet = std::vector<std::shared_ptr<const ActiveFault>>;
using FaultSetPtr = std::shared_ptr<const FaultSet>;

// All that are on. Thread-safe; the workers look at a copy that is handed to them (Context::faults)
// and is null while there are none. Says the begin and the end of each in the log.
class FaultTable {
 public:
  static constexpr std::size_t kMost = 32;

  // The id; 0: there are too many.
  [[nodiscard]] std::uint64_t add(FaultRule rule, base::TimePoint now);
  // Ends those whose time is over; true: there was one.
  bool expire(base::TimePoint now);
  // Ends all; how many there were.
  std::size_t clear();

  [[nodiscard]] FaultSetPtr all() const;  // null: none

 private:
  mutable std::mutex mutex_;
  FaultSetPtr faults_;
  std::uint64_t next_id_ = 1;
};

}  // namespace pannier::proxy
