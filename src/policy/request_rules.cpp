#include "pannier/policy/request_rules.hpp"

namespace pannier::policy {

struct RequestRules::Impl {};

RequestRules::RequestRules()
    : wants_(command::table().size() + 1),
      impl_(std::make_unique<Impl>()) {}

RequestRules::RequestRules(const config::Policy& /*policy*/, const KeyMatcher& /*matcher*/)
    : RequestRules() {}

RequestRules::~RequestRules() = default;
RequestRules::RequestRules(RequestRules&&) noexcept = default;
RequestRules& RequestRules::operator=(RequestRules&&) noexcept = default;

bool RequestRules::any_limits() const {
  return false;
}

bool RequestRules::any_denials() const {
  return false;
}

config::RuleMode RequestRules::limit_mode(LimitId /*id*/) const {
  return config::RuleMode::Off;
}

void RequestRules::limits_of(const RequestView& /*request*/,
                             std::vector<LimitMatch>& /*out*/) const {}

Denials RequestRules::denial_of(const RequestView& /*request*/) const {
  return {};
}

}  // namespace pannier::policy
