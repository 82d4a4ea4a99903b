#include "pannier/command/command.hpp"
#include "pannier/policy/rules.hpp"

#include <benchmark/benchmark.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

// What a request costs the policy stage: its class, then limits and denials, with 200 classes, 50
// limits and 20 denials. `bench_policy --count KEY N` does it N times and nothing else, for
// callgrind (README.md).
namespace pannier::policy {
namespace {

constexpr std::size_t kClasses = 200;
constexpr std::size_t kLimits = 50;
constexpr std::size_t kDenials = 20;

config::Policy make_policy() {
  config::Policy policy;
  for (std::size_t i = 0; i < kClasses; ++i) {
    auto& each = policy.classes.emplace_back();
    const auto name = std::to_string(i);
    each.name = "class" + name;
    each.keys = {"class" + name + ":*", "shop:{id}:class" + name + ":*"};
  }
  for (std::size_t i = 0; i < kLimits; ++i) {
    auto& each = policy.limits.emplace_back();
    const auto name = std::to_string(i);
    each.name = "limit" + name;
    if (i % 5 == 4) {
      each.commands = {"@write", "config set"};
      each.key_class = "class" + name;
    } else {
      each.keys = {"search" + name + ":{user}:*"};
      each.per = config::Per::Capture;
      each.capture = "user";
    }
  }
  for (std::size_t i = 0; i < kDenials; ++i) {
    auto& each = policy.deny.emplace_back();
    each.name = "deny" + std::to_string(i);
    each.commands = {"@dangerous", "@write"};
    each.keys = {"locked" + std::to_string(i) + ":*"};
  }
  return policy;
}

const Rules& rules(bool empty) {
  static const RulesPtr none = compile(config::Policy());
  static const RulesPtr many = compile(make_policy());
  return empty ? *none : *many;
}

// A GET of one key, as the proxy would ask.
class Request {
 public:
  explicit Request(std::string_view key) : words_{"GET", key}, row_(command::find("get")) {}

  // Class and limits that hold.
  std::size_t judge(const Rules& rules, std::vector<LimitMatch>& out) const {
    out.clear();
    const auto key = std::span(words_).subspan(1);
    RequestView view;
    view.row = row_;
    view.arguments = words_;
    view.keys = key;
    view.key_class = rules.matcher.match(words_[1]);
    const auto wanted = rules.requests.wants(command::index_of(*row_));
    if ((wanted & RequestRules::kLimits) != 0) {
      rules.requests.limits_of(view, out);
    }
    if ((wanted & RequestRules::kDenials) != 0) {
      const auto denials = rules.requests.denial_of(view);
      return denials.enforced ? 0 : out.size();
    }
    return out.size() + (view.key_class == kNoClass ? 0 : 1);
  }

 private:
  std::array<std::string_view, 2> words_;
  const command::CommandSpec* row_;
};

void judge(benchmark::State& state, std::string_view key, bool empty) {
  const Request request(key);
  const Rules& all = rules(empty);
  std::vector<LimitMatch> found;
  found.reserve(kLimits);
  for (auto _ : state) {
    benchmark::DoNotOptimize(request.judge(all, found));
  }
}

BENCHMARK_CAPTURE(judge, empty_policy, "class7:12345", true);
BENCHMARK_CAPTURE(judge, class_and_no_limit, "class7:12345", false);
BENCHMARK_CAPTURE(judge, class_behind_a_capture, "shop:12:class7:12345", false);
BENCHMARK_CAPTURE(judge, no_class_and_no_limit, "other:12345", false);
BENCHMARK_CAPTURE(judge, one_limit, "search7:bob:shoes", false);

int count(const std::string& key, std::size_t times, bool empty) {
  const Request request(key);
  const Rules& all = rules(empty);
  std::vector<LimitMatch> found;
  found.reserve(kLimits);
  std::size_t sum = 0;
  for (std::size_t i = 0; i < times; ++i) {
    sum += request.judge(all, found);
    benchmark::DoNotOptimize(sum);
  }
  std::cout << sum << '\n';
  return 0;
}

}  // namespace
}  // namespace pannier::policy

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (words.size() == 3 && (words[0] == "--count" || words[0] == "--count-empty")) {
    return pannier::policy::count(words[1], std::stoul(words[2]), words[0] == "--count-empty");
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) {
    return 1;
  }
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
