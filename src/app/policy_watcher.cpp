#include "policy_watcher.hpp"

#include "pannier/base/clock.hpp"
#include "pannier/base/log.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <utility>

namespace pannier::app {
namespace {

using metrics::ReloadResult;

constexpr int kNice = 10;  // a look must not take a processor from the workers

double unix_now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

double seconds_since(base::TimePoint start) {
  return std::chrono::duration<double>(base::Clock::now() - start).count();
}

}  // namespace

PolicyWatcher::PolicyWatcher(boost::asio::io_context& io,
                             std::string path,
                             policy::RulesPtr rules,
                             Hooks hooks)
    : io_(io),
      path_(std::move(path)),
      rules_(std::move(rules)),
      hooks_(std::move(hooks)) {
  state_.generation = rules_->origin.generation;
  state_.hash = rules_->origin.hash;
  state_.loaded_at = unix_now();
  hooks_.publish(state_);
}

PolicyWatcher::~PolicyWatcher() {
  if (thread_.joinable()) {
    thread_.join();
  }
}

void PolicyWatcher::start() {
  watch_ = std::make_unique<FileWatch>(io_, path_, [this] { reload("the file changed", {}); });
  reload("the start", {});
}

void PolicyWatcher::reload(const std::string& reason, ReloadDone done) {
  (busy_ ? next_reason_ : reason_) = reason;
  if (done) {
    (busy_ ? next_ : waiting_).push_back(std::move(done));
  }
  if (!busy_) {
    look();
  }
}

void PolicyWatcher::look() {
  busy_ = true;
  thread_ = std::thread([this, current = rules_] {
    static_cast<void>(::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), kNice));
    const auto start = base::Clock::now();
    PolicyLook look = look_at_policy(path_, *current);
    boost::asio::post(io_,
                      [this, look = std::move(look), seconds = seconds_since(start)]() mutable {
                        thread_.join();
                        seen(std::move(look), seconds);
                      });
  });
}

void PolicyWatcher::seen(PolicyLook look, double seconds) {
  if (!look.faults.empty()) {
    keep_old(look);
    return;
  }
  state_.last_error.clear();
  if (!look.rules) {
    answer(ReloadResult::Unchanged,
           {true, fmt::format("unchanged: generation {} hash {}", state_.generation, state_.hash)});
    return;
  }
  former_ = std::exchange(rules_, look.rules);
  // A copy of the pointers: the hook calls back when `look` here is gone.
  auto shared = std::make_shared<const PolicyLook>(std::move(look));
  hooks_.swap(rules_, shared->dropped, [this, shared, seconds] { in_force(*shared, seconds); });
}

void PolicyWatcher::keep_old(const PolicyLook& look) {
  state_.last_error = first_of(look.faults);
  base::log_error("policy",
                  "{} ({}): not loaded, generation {} stays: {}",
                  path_,
                  reason_,
                  state_.generation,
                  state_.last_error);
  std::string text;
  for (const std::string& fault : look.faults) {
    text += fault + "\n";
  }
  text += fmt::format("{} fault(s); generation {} hash {} stays",
                      look.faults.size(),
                      state_.generation,
                      state_.hash);
  answer(ReloadResult::Failed, {false, std::move(text)});
}

void PolicyWatcher::in_force(const PolicyLook& look, double seconds) {
  state_.generation = rules_->origin.generation;
  state_.hash = rules_->origin.hash;
  state_.loaded_at = unix_now();
  base::log_info("policy",
                 "{} ({}): generation {} hash {} is in force; loaded in {:.1f} ms, {} class(es) "
                 "begin anew in the near cache",
                 path_,
                 reason_,
                 state_.generation,
                 state_.hash,
                 seconds * 1e3,
                 look.dropped.size());
  if (!look.warnings.empty()) {
    base::log_warn("policy", "{}", first_of(look.warnings));
  }
  answer(ReloadResult::Changed,
         {true, fmt::format("generation {} hash {}", state_.generation, state_.hash)});
}

void PolicyWatcher::answer(ReloadResult result, const ReloadAnswer& answer) {
  ++state_.reloads.at(static_cast<std::size_t>(result));
  hooks_.publish(state_);
  busy_ = false;
  const auto waiting = std::exchange(waiting_, std::exchange(next_, {}));
  reason_ = std::exchange(next_reason_, {});
  if (!reason_.empty()) {
    look();
  }
  for (const ReloadDone& done : waiting) {
    done(answer);
  }
}

}  // namespace pannier::app
