#include "pannier/admin/routes.hpp"

#include "dispatch.hpp"

namespace pannier::admin {

const char* to_string(Readiness readiness) {
  switch (readiness) {
    case Readiness::Starting:
      return "starting";
    case Readiness::Ready:
      return "ready";
    case Readiness::Draining:
      return "draining";
  }
  return "unknown";
}

RouteTable probe_routes(ProbeSources sources) {
  RouteTable table;
  table.routes.push_back({"GET", "/healthz", [alive = std::move(sources.alive)](const Request&) {
                            return alive() ? text_response(200, "ok")
                                           : text_response(503, "a worker does not turn");
                          }});
  table.routes.push_back(
      {"GET", "/readyz", [readiness = std::move(sources.readiness)](const Request&) {
         const auto now = readiness();
         return text_response(now == Readiness::Ready ? 200 : 503, to_string(now));
       }});
  table.routes.push_back(
      {"GET", "/metrics", [metrics = std::move(sources.metrics)](const Request&) {
         return Response{200, "text/plain; version=0.0.4; charset=utf-8", metrics(), {}};
       }});
  return table;
}

}  // namespace pannier::admin
