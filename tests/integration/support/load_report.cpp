#include "load_report.hpp"

#include <algorithm>
#include <cstdio>

namespace pannier::test {

namespace {

constexpr std::size_t kErrorsShown = 3;
constexpr std::array<const char*, static_cast<std::size_t>(Asked::Count)> kAskedNames{
    "reads", "reads behind writes", "reads of written keys", "writes", "local"};
constexpr std::array<const char*, static_cast<std::size_t>(Answer::Count)> kAnswerNames{
    "ok", "nil", "not sent", "may have run", "other errors", "connection lost"};

std::string fixed(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.1f", value);
  return text.data();
}

}  // namespace

void LoadReport::add(const LoadRecord& record) {
  records_.push_back(record);
}

void LoadReport::add_error(const std::string& text) {
  if (errors_.size() < kErrorsShown &&
      std::find(errors_.begin(), errors_.end(), text) == errors_.end()) {
    errors_.push_back(text);
  }
}

std::size_t LoadReport::requests(Asked asked) const {
  return static_cast<std::size_t>(std::count_if(
      records_.begin(), records_.end(), [&](const auto& each) { return each.asked == asked; }));
}

std::size_t LoadReport::count(Asked asked, Answer answer) const {
  return static_cast<std::size_t>(
      std::count_if(records_.begin(), records_.end(), [&](const auto& each) {
        return each.asked == asked && each.answer == answer;
      }));
}

std::size_t LoadReport::failures(Asked asked) const {
  return requests(asked) - count(asked, Answer::Ok);
}

double LoadReport::percentile(Asked asked, double part) const {
  std::vector<double> times;
  for (const LoadRecord& each : records_) {
    if (each.asked == asked) {
      times.push_back(Milliseconds(each.answered - each.sent).count());
    }
  }
  if (times.empty()) {
    return 0;
  }
  const auto place = static_cast<std::ptrdiff_t>(part * static_cast<double>(times.size() - 1));
  std::nth_element(times.begin(), times.begin() + place, times.end());
  return times[static_cast<std::size_t>(place)];
}

std::optional<LoadReport::Milliseconds> LoadReport::first_success(Asked asked,
                                                                  TimePoint from,
                                                                  bool sent_later) const {
  for (const LoadRecord& each : records_) {  // in the order of their answers
    if (each.asked == asked && each.answer == Answer::Ok && each.answered >= from &&
        (!sent_later || each.sent >= from)) {
      return each.answered - from;
    }
  }
  return std::nullopt;
}

LoadReport::Milliseconds LoadReport::last_failure(Asked asked) const {
  Milliseconds last{0};
  for (const LoadRecord& each : records_) {
    if (each.asked == asked && each.answer != Answer::Ok) {
      last = each.answered - start_;
    }
  }
  return last;
}

LoadReport::Milliseconds LoadReport::longest_gap(Asked asked) const {
  Milliseconds longest{0};
  std::optional<TimePoint> before;
  for (const LoadRecord& each : records_) {
    if (each.asked == asked && each.answer == Answer::Ok) {
      longest = before ? std::max(longest, Milliseconds(each.answered - *before)) : longest;
      before = each.answered;
    }
  }
  return longest;
}

bool LoadReport::is_calm_since(TimePoint from) const {
  bool any = false;
  for (auto each = records_.rbegin(); each != records_.rend() && each->answered >= from; ++each) {
    if (each->answer != Answer::Ok) {
      return false;
    }
    any = any || each->sent >= from;
  }
  return any;
}

std::string LoadReport::text(const std::string& phase) const {
  std::string out;
  for (std::size_t i = 0; i < kAskedNames.size(); ++i) {
    const auto asked = static_cast<Asked>(i);
    const std::size_t all = requests(asked);
    if (all == 0 || (asked == Asked::Local && failures(asked) == 0)) {
      continue;
    }
    out += phase + ": " + std::to_string(all) + " " + kAskedNames[i] + ",";
    for (std::size_t j = 1; j < kAnswerNames.size(); ++j) {
      if (const std::size_t n = count(asked, static_cast<Answer>(j)); n > 0) {
        out += " " + std::to_string(n) + " " + kAnswerNames[j] + ",";
      }
    }
    out += " p50 " + fixed(percentile(asked, 0.5)) + " p99 " + fixed(percentile(asked, 0.99)) +
           " max " + fixed(percentile(asked, 1)) + " ms, no success for " +
           fixed(longest_gap(asked).count()) + " ms";
    if (failures(asked) > 0) {
      out += ", last failure after " + fixed(last_failure(asked).count()) + " ms";
    }
    out += "\n";
  }
  for (const std::string& error : errors_) {
    out += phase + ": error: " + error + "\n";
  }
  return out;
}

}  // namespace pannier::test
