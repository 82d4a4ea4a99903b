#include "fault_sources.hpp"

#include "pannier/proxy/fault_actions.hpp"

#include <string>
#include <utility>

namespace pannier::app {

void add_fault_sources(admin::AdminSources& sources,
                       proxy::Shared& shared,
                       const std::function<void(std::function<void()>)>& answer) {
  if (!shared.config.fault_injection) {
    return;
  }
  sources.begin_fault = [&shared, answer](std::string form,
                                          std::function<void(admin::ActionAnswer)> done) {
    shared.post(0, [answer, form = std::move(form), done = std::move(done)](auto& context) {
      const proxy::FaultBegun begun = proxy::begin_fault(context, form);
      answer([done, begun] { done({begun.good, begun.text}); });
    });
  };
  sources.clear_faults = [&shared, answer](std::function<void(std::size_t)> done) {
    shared.post(0, [answer, done = std::move(done)](auto& context) {
      const std::size_t ended = proxy::clear_faults(context);
      answer([done, ended] { done(ended); });
    });
  };
}

}  // namespace pannier::app
