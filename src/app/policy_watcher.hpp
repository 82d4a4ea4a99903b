#pragma once

#include "pannier/metrics/snapshot.hpp"
#include "pannier/policy/rules.hpp"

#include "file_watch.hpp"
#include "policy_file.hpp"

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace boost::asio {
class io_context;
}

namespace pannier::app {

// What became of a wish to reload, in words: all faults, if there are any.
struct ReloadAnswer {
  bool good = false;
  std::string text;
};

using ReloadDone = std::function<void(const ReloadAnswer&)>;

// Looks at the policy's file when it changed and when it is told to, and has new rules put into
// force; the old ones stay whenever the new ones have a fault. One look at a time, on a thread of
// its own; wishes that come meanwhile become one more. Owned by the application; lives on the
// control thread, where all callbacks come.
class PolicyWatcher {
 public:
  struct Hooks {
    // Puts rules into force on all workers, then calls `done`.
    std::function<void(const policy::RulesPtr& rules,
                       const std::vector<policy::ClassId>& dropped,
                       std::function<void()> done)>
        swap;
    std::function<void(const metrics::PolicyState&)> publish;
  };

  // `rules` are in force and came from the file at `path`.
  PolicyWatcher(boost::asio::io_context& io, std::string path, policy::RulesPtr rules, Hooks hooks);
  // Waits for a look that is under way.
  ~PolicyWatcher();
  PolicyWatcher(const PolicyWatcher&) = delete;
  PolicyWatcher& operator=(const PolicyWatcher&) = delete;

  // Watches the file from now on, and looks whether it changed since it was read.
  void start();
  // `reason` is for the log; `done` may be empty.
  void reload(const std::string& reason, ReloadDone done);

 private:
  void look();
  void seen(PolicyLook look, double seconds);
  void keep_old(const PolicyLook& look);
  void in_force(const PolicyLook& look, double seconds);
  void answer(metrics::ReloadResult result, const ReloadAnswer& answer);

  boost::asio::io_context& io_;
  const std::string path_;
  policy::RulesPtr rules_;   // in force
  policy::RulesPtr former_;  // kept, so that no worker has to destroy them
  const Hooks hooks_;
  metrics::PolicyState state_;
  std::unique_ptr<FileWatch> watch_;
  std::thread thread_;
  bool busy_ = false;
  std::string reason_;               // of the look that is under way
  std::vector<ReloadDone> waiting_;  // for it
  std::string next_reason_;          // of the look behind it; empty: none
  std::vector<ReloadDone> next_;
};

}  // namespace pannier::app
