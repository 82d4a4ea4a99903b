#include "pannier/admin/routes.hpp"

#include "dispatch.hpp"
#include "guard.hpp"
#include "views.hpp"

#include <array>
#include <memory>
#include <utility>

namespace pannier::admin {
namespace {

constexpr std::array<std::pair<std::string_view, base::LogLevel>, 5> kLevels{{
    {"debug", base::LogLevel::Debug},
    {"info", base::LogLevel::Info},
    {"warn", base::LogLevel::Warn},
    {"error", base::LogLevel::Error},
    {"off", base::LogLevel::Off},
}};

Response json_response(std::string body) {
  return {200, "application/json", std::move(body), {}};
}

Response show_config(const AdminSources& sources) {
  Response out;
  for (const auto& line : sources.config_lines) {
    out.body += line + "\n";
  }
  return out;
}

Response set_log_level(const AdminSources& sources, const Request& request) {
  const auto wanted = request.parameter("level").value_or("");
  for (const auto& [name, level] : kLevels) {
    if (name == wanted) {
      sources.set_log_level(level);
      base::log_info("admin", "the log's level is now {}", name);
      return text_response(200, "level " + std::string(name));
    }
  }
  return text_response(400, "say which: /log-level?level=debug, info, warn, error or off");
}

Response refresh(const AdminSources& sources) {
  base::log_info("admin", "asked to look at the nodes again");
  sources.refresh();
  return text_response(202, "asking the nodes");
}

Response drain(const AdminSources& sources) {
  base::log_info("admin", "asked to drain");
  sources.drain();
  return text_response(202, "draining");
}

}  // namespace

RouteTable admin_routes(AdminSources sources) {
  // Shared by the handlers: std::function wants to be copied.
  const auto all = std::make_shared<const AdminSources>(std::move(sources));
  RouteTable table;
  table.guard = Guard{all->address, all->token};
  table.routes = {
      {"GET",
       "/",
       [all](const Request&) {
         return Response{200, "text/html; charset=utf-8", status_page(all->snapshot(), *all), {}};
       }},
      {"GET",
       "/topology",
       [all](const Request&) {
         return json_response(topology_json(all->snapshot()));
       }},
      {"GET",
       "/stats",
       [all](const Request&) {
         return json_response(stats_json(all->snapshot(), all->readiness()));
       }},
      {"GET",
       "/config",
       [all](const Request&) {
         return show_config(*all);
       }},
      {"POST",
       "/refresh",
       [all](const Request&) {
         return refresh(*all);
       }},
      {"POST",
       "/drain",
       [all](const Request&) {
         return drain(*all);
       }},
      {"POST",
       "/log-level",
       [all](const Request& r) {
         return set_log_level(*all, r);
       }},
  };
  return table;
}

}  // namespace pannier::admin
