#include "pannier/admin/routes.hpp"
#include "pannier/base/bytes.hpp"

#include "dispatch.hpp"
#include "guard.hpp"
#include "views.hpp"

#include <algorithm>
#include <array>
#include <iterator>
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

void reload(const AdminSources& sources, const Answer& answer) {
  base::log_info("admin", "asked to load the policy again");
  sources.reload([answer](bool good, const std::string& text) {
    answer(text_response(good ? 200 : 422, text));
  });
}

Response bypass(const AdminSources& sources, const Request& request) {
  const auto period = request.parameter("for").value_or("");
  if (!sources.bypass(period)) {
    return text_response(400,
                         "say for how long: /bypass?for=10m (at most 24h), or /bypass?for=off");
  }
  base::log_info("admin", "asked to bypass the near cache: {}", period);
  return text_response(200, "bypass " + std::string(period));
}

// One key per line; the last line's end may be missing.
std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const auto line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (!line.empty()) {
      out.emplace_back(line);
    }
  }
  return out;
}

void invalidate(const AdminSources& sources, const Request& request, const Answer& answer) {
  auto keys = lines_of(request.body);
  if (keys.empty()) {
    answer(text_response(400, "the body names the keys, one per line"));
    return;
  }
  base::log_info("admin", "asked to invalidate {} keys", keys.size());
  sources.invalidate(std::move(keys), [answer](std::size_t removed) {
    answer(text_response(200, "removed " + std::to_string(removed)));
  });
}

void show_hot_keys(const AdminSources& sources, const Request& request, const Answer& answer) {
  constexpr std::int64_t kDefault = 20;
  constexpr std::int64_t kMost = 128;
  const auto wanted = request.parameter("count");
  const auto count = wanted ? base::parse_int(*wanted).value_or(0) : kDefault;
  if (count < 1 || count > kMost) {
    answer(text_response(400, "say how many: /hotkeys?count=20, 1 to 128"));
    return;
  }
  sources.hot_keys(static_cast<std::size_t>(count), [answer](const std::vector<HotKeyView>& keys) {
    answer(json_response(hot_keys_json(keys)));
  });
}

std::vector<Route> near_cache_routes(const std::shared_ptr<const AdminSources>& all) {
  return {
      {"GET",
       "/hotkeys",
       {},
       [all](const Request& r, const Answer& answer) {
         show_hot_keys(*all, r, answer);
       }},
      {"POST",
       "/bypass",
       [all](const Request& r) {
         return bypass(*all, r);
       }},
      {"POST",
       "/invalidate",
       {},
       [all](const Request& r, const Answer& answer) {
         invalidate(*all, r, answer);
       }},
  };
}

// The form is the body, or else the query.
void begin_fault(const AdminSources& sources, const Request& request, const Answer& answer) {
  sources.begin_fault(request.body.empty() ? request.query : request.body,
                      [answer](const ActionAnswer& said) {
                        answer(text_response(said.good ? 200 : 400, said.text));
                      });
}

void clear_faults(const AdminSources& sources, const Answer& answer) {
  sources.clear_faults([answer](std::size_t ended) {
    answer(text_response(200, "ended " + std::to_string(ended)));
  });
}

std::vector<Route> fault_routes(const std::shared_ptr<const AdminSources>& all) {
  if (!all->begin_fault) {
    return {};
  }
  const LateHandler clear = [all](const Request&, const Answer& answer) {
    clear_faults(*all, answer);
  };
  return {
      {"GET",
       "/faults",
       [all](const Request&) {
         return json_response(faults_json(all->snapshot().faults));
       }},
      {"POST",
       "/faults",
       {},
       [all](const Request& r, const Answer& answer) {
         begin_fault(*all, r, answer);
       }},
      {"DELETE", "/faults", {}, clear},
      {"POST", "/faults/clear", {}, clear},
  };
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
       "/reload",
       {},
       [all](const Request&, const Answer& answer) {
         reload(*all, answer);
       }},
      {"POST",
       "/log-level",
       [all](const Request& r) {
         return set_log_level(*all, r);
       }},
  };
  for (const auto& more : {near_cache_routes(all), fault_routes(all)}) {
    table.routes.insert(table.routes.end(), more.begin(), more.end());
  }
  return table;
}

}  // namespace pannier::admin
