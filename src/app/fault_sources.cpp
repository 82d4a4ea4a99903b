#include "fault_sources.hpp"

#include "pannier/proxy/fault_actions.hpp"

#include <cstdint>
#include <string>
#include <utility>

namespace pannier::app {
namespace {

// Behind what was posted to all other workers until now: they have it then.
void after_workers(proxy::Shared& shared, std::uint32_t next, std::function<void()> done) {
  if (next >= shared.config.workers) {
    done();
    return;
  }
  shared.post(next, [&shared, next, done = std::move(done)](proxy::Context&) {
    after_workers(shared, next + 1, done);
  });
}

using Deliver = std::function<void(std::function<void()>)>;

void begin(proxy::Shared& shared,
           const Deliver& deliver,
           std::string form,
           std::function<void(admin::ActionAnswer)> done) {
  shared.post(0, [deliver, form = std::move(form), done = std::move(done)](auto& context) {
    const proxy::FaultBegun begun = proxy::begin_fault(context, form);
    after_workers(context.shared, 1, [deliver, done, begun] {
      deliver([done, begun] { done({begun.good, begun.text}); });
    });
  });
}

void clear(proxy::Shared& shared, const Deliver& deliver, std::function<void(std::size_t)> done) {
  shared.post(0, [deliver, done = std::move(done)](auto& context) {
    const std::size_t ended = proxy::clear_faults(context);
    after_workers(
        context.shared, 1, [deliver, done, ended] { deliver([done, ended] { done(ended); }); });
  });
}

}  // namespace

void add_fault_sources(admin::AdminSources& sources,
                       proxy::Shared& shared,
                       const std::function<void(std::function<void()>)>& deliver) {
  if (!shared.config.fault_injection) {
    return;
  }
  sources.begin_fault = [&shared, deliver](std::string form,
                                           std::function<void(admin::ActionAnswer)> done) {
    begin(shared, deliver, std::move(form), std::move(done));
  };
  sources.clear_faults = [&shared, deliver](std::function<void(std::size_t)> done) {
    clear(shared, deliver, std::move(done));
  };
}

}  // namespace pannier::app
