#pragma once

#include "pannier/upstream/tracking.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace pannier::upstream {

// What is asked of a node to hear of its changes. All functions are pure.

// The prefixes to register: those of the plan and the canary's key, without those that another one
// covers. A server refuses overlapping ones, and some answer that refusal twice, which puts the
// connection out of step.
[[nodiscard]] std::vector<std::string> prefixes_to_register(const policy::TrackingPlan& plan);

// `redirect_to`: the CLIENT ID of the connection that hears; 0: this one hears itself.
[[nodiscard]] std::string track_request(const std::vector<std::string>& prefixes,
                                        std::int64_t redirect_to);
// Of the rungs Redirect and Channel.
[[nodiscard]] std::vector<std::string_view> channels_of(Rung rung);
[[nodiscard]] std::string subscribe_request(Rung rung);
[[nodiscard]] std::string canary_request(Rung rung, std::string_view value);
[[nodiscard]] std::string get_canary_request();
[[nodiscard]] std::string info_request();
[[nodiscard]] std::string ping_request();

// One field of INFO; empty when it is not there.
[[nodiscard]] std::string info_field(std::string_view info, std::string_view name);
// The text of a bulk or verbatim string, else the reply as it is without its line end.
[[nodiscard]] std::string_view text_of_reply(std::string_view reply);

// True for an error that says nothing of what the server can do, only that it cannot now.
[[nodiscard]] bool is_passing(std::string_view error);

}  // namespace pannier::upstream
