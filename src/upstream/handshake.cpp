#include "pannier/upstream/handshake.hpp"

#include "pannier/resp/request_parser.hpp"

#include <unistd.h>

#include <initializer_list>
#include <string>

namespace pannier::upstream {
namespace {

std::string request(std::initializer_list<std::string_view> arguments) {
  std::string out;
  resp::append_request(out, std::span(arguments.begin(), arguments.size()));
  return out;
}

HandshakeRequest authenticate(const ConnectionSpec& spec, const config::Config& config) {
  const auto& auth = config.upstream.auth;
  const std::string user = auth && !auth->user.empty() ? auth->user : "default";
  if (spec.version == resp::Version::Resp3) {
    return {HandshakeStep::Hello,
            auth ? request({"HELLO", "3", "AUTH", user, auth->password}) : request({"HELLO", "3"})};
  }
  return {HandshakeStep::Auth,
          auth->user.empty() ? request({"AUTH", auth->password})
                             : request({"AUTH", user, auth->password})};
}

}  // namespace

std::vector<HandshakeRequest> make_handshake(const ConnectionSpec& spec,
                                             const config::Config& config) {
  std::vector<HandshakeRequest> out;
  if (spec.version == resp::Version::Resp3 || config.upstream.auth) {
    out.push_back(authenticate(spec, config));
  }
  const std::string name = "pannier:" + config.service + ":" + std::to_string(::getpid());
  out.push_back({HandshakeStep::SetName, request({"CLIENT", "SETNAME", name})});
  out.push_back({HandshakeStep::SetInfo, request({"CLIENT", "SETINFO", "LIB-NAME", "pannier"})});
  out.push_back({HandshakeStep::ClientId, request({"CLIENT", "ID"})});
  if (spec.db != 0) {
    out.push_back({HandshakeStep::Select, request({"SELECT", std::to_string(spec.db)})});
  }
  return out;
}

bool is_fatal(HandshakeStep step, std::string_view reply) {
  if (!reply.starts_with('-')) {
    return false;
  }
  return step == HandshakeStep::Hello || step == HandshakeStep::Auth ||
         step == HandshakeStep::Select || reply.starts_with("-NOAUTH") ||
         reply.starts_with("-DENIED") || reply.starts_with("-ERR max number of clients");
}

}  // namespace pannier::upstream
