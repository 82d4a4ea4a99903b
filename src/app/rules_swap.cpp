#include "rules_swap.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include <utility>

namespace pannier::app {

void RulesSwap::begin(const policy::RulesPtr& rules,
                      std::vector<policy::ClassId> dropped,
                      std::function<void()> done) {
  dropped_ = std::move(dropped);
  done_ = std::move(done);
  missing_ = workers_.size();
  for (const policy::ClassId id : dropped_) {
    shared_.near_cache.close_class(id);
    if (shared_.shadow) {
      shared_.shadow->close_class(id);
    }
  }
  for (const auto& worker : workers_) {
    worker->set_rules(rules, [this] { boost::asio::post(io_, [this] { one_has_them(); }); });
  }
}

void RulesSwap::one_has_them() {
  if (--missing_ == 0) {
    workers_.front()->follow_rules(std::move(dropped_), [this] {
      boost::asio::post(io_, [this] { std::exchange(done_, nullptr)(); });
    });
  }
}

}  // namespace pannier::app
