#include "policy_words.hpp"

#include "pannier/base/bytes.hpp"

#include <fmt/format.h>

#include <cstddef>

namespace pannier::proxy {
namespace {

constexpr std::size_t kShownError = 1000;

}  // namespace

void add_policy_fields(InfoFields& fields, const metrics::PolicyState& state) {
  fields.emplace_back("policy_generation", fmt::format("{}", state.generation));
  if (state.generation == 0) {
    return;
  }
  fields.emplace_back("policy_hash", state.hash);
  fields.emplace_back("policy_age_seconds", fmt::format("{:.0f}", metrics::age_of(state)));
  for (std::size_t i = 0; i < state.reloads.size(); ++i) {
    fields.emplace_back(
        fmt::format("policy_reloads_{}", label_of(static_cast<metrics::ReloadResult>(i))),
        fmt::format("{}", state.reloads.at(i)));
  }
  fields.emplace_back("policy_last_error", base::printable(state.last_error, kShownError));
}

std::string policy_lines(const metrics::PolicyState& state) {
  if (state.generation == 0) {
    return "policy: none\n";
  }
  std::string out = fmt::format("policy: generation={} hash={} age_seconds={:.0f}",
                                state.generation,
                                state.hash,
                                metrics::age_of(state));
  for (std::size_t i = 0; i < state.reloads.size(); ++i) {
    out += fmt::format(
        " reloads_{}={}", label_of(static_cast<metrics::ReloadResult>(i)), state.reloads.at(i));
  }
  out += "\n";
  return state.last_error.empty()
             ? out
             : out + "policy_error: " + base::printable(state.last_error, kShownError) + "\n";
}

std::string policy_line(const policy::Origin& origin) {
  return origin.generation == 0
             ? "policy: none\n"
             : fmt::format("policy: generation {}, hash {}\n", origin.generation, origin.hash);
}

}  // namespace pannier::proxy
