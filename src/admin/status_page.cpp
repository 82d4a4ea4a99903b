#include "pannier/base/bytes.hpp"

#include "html.hpp"
#include "views.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <functional>
#include <vector>

namespace pannier::admin {
namespace {

using metrics::Snapshot;

constexpr std::size_t kTopCommands = 20;

constexpr std::string_view kHead = R"(<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Pannier</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><meta http-equiv="refresh" content="10">
<style>
:root { color-scheme: light dark; --ink: #1d2433; --soft: #5d6778; --line: #dfe3ea; --page: #f5f6f8;
  --card: #fff; --good: #1a7f4b; --bad: #c0342b; --wait: #9a6700; --bar: #3b6fd4; }
@media (prefers-color-scheme: dark) { :root { --ink: #e3e7ee; --soft: #98a2b3; --line: #2c3440;
  --page: #12161c; --card: #1a2028; --good: #4cc38a; --bad: #ff7b72; --wait: #d9a441;
  --bar: #6c9bf5; } }
* { box-sizing: border-box }
body { margin: 0 auto; padding: 1.5rem; max-width: 72rem; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; font-variant-numeric: tabular-nums }
header { display: flex; flex-wrap: wrap; align-items: baseline; gap: .25rem 1rem }
h1 { font-size: 1.5rem; margin: 0 } h2 { font-size: 1rem; margin: 0 0 .5rem }
.soft { color: var(--soft) } .good { color: var(--good) } .bad { color: var(--bad) }
.wait { color: var(--wait) } .state { font-weight: 600 }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: .75rem;
  margin: 1.25rem 0 .75rem }
.tile, section { background: var(--card); border: 1px solid var(--line); border-radius: 8px;
  padding: .75rem 1rem }
section { margin: .75rem 0; overflow-x: auto } .tile b { display: block; font-size: 1.4rem;
  font-weight: 600; line-height: 1.3 } .tile small, footer { color: var(--soft) }
table { border-collapse: collapse; width: 100% }
th { text-align: left; font-weight: 500; color: var(--soft); font-size: .85rem }
th, td { padding: .3rem 1rem .3rem 0; border-bottom: 1px solid var(--line); white-space: nowrap }
tr:last-child td { border-bottom: 0 } .n { text-align: right }
td:last-child, th:last-child { padding-right: 0 }
code, .name { font-family: ui-monospace, monospace; font-size: .9em }
.bar { width: 10rem; height: .5rem; border-radius: .25rem; background: var(--line) }
.bar i { display: block; height: 100%; border-radius: .25rem; background: var(--bar) }
.small { width: auto } .small td, .small th { padding-right: 2rem }
.wide { white-space: normal }
footer { margin-top: 1rem; font-size: .9rem } a { color: var(--bar) }
</style></head><body>
)";

constexpr std::string_view kFoot = R"(<footer>
<p><a href="/topology">topology</a> · <a href="/stats">stats</a> · <a href="/hotkeys">hot keys</a>
 · <a href="/config">configuration</a> · this page loads itself again every 10 s</p>
<p>Actions: <code>curl -X POST -H 'X-Pannier: 1' …/refresh</code> asks the nodes again,
<code>…/log-level?level=debug</code> sets the log's level, <code>…/bypass?for=10m</code> or
<code>?for=off</code> turns the near cache off for a while, <code>…/reload</code> loads the policy
again, <code>--data-binary KEY …/invalidate</code>
removes what is kept of keys (one per line), <code>…/drain</code> stops in good order.</p>
</footer></body></html>
)";

std::uint64_t not_negative(std::int64_t n) {
  return static_cast<std::uint64_t>(n < 0 ? 0 : n);
}

std::string tile(std::string_view title, const std::string& figure, const std::string& note) {
  return fmt::format(
      "<div class=tile><small>{}</small><b>{}</b><small>{}</small></div>\n", title, figure, note);
}

std::string header(const Snapshot& now, Readiness readiness) {
  const char* css = readiness == Readiness::Ready ? "good" : "wait";
  std::string out = fmt::format(
      "<header><h1>Pannier</h1><span class='state {}'>{}</span>"
      "<span class=soft>{} ({})</span><span class=soft>up {}</span>",
      css,
      to_string(readiness),
      escaped(now.build.version),
      escaped(now.build.revision),
      human_seconds(now.process.uptime_seconds));
  if (!now.facts.own_zone.empty()) {
    out += "<span class=soft>zone " + escaped(now.facts.own_zone) + "</span>";
  }
  return out + "</header>\n";
}

std::string ratio_text(const metrics::ClassTotals& totals) {
  const auto ratio = totals.hit_ratio();
  return ratio ? fmt::format("{:.1f} %", *ratio * 100) : "–";
}

std::string near_cache_tile(const Snapshot& now) {
  metrics::ClassTotals all;
  for (const auto& each : now.totals.classes) {
    all += each;
  }
  return tile("Near cache hits",
              ratio_text(all),
              fmt::format("{} in {} of {}",
                          grouped(now.near_cache.entries),
                          base::human_bytes(now.near_cache.used_bytes),
                          base::human_bytes(now.near_cache.budget_bytes)));
}

std::string tiles(const Snapshot& now) {
  const auto& totals = now.totals;
  std::uint64_t requests = 0;
  std::uint64_t errors = 0;
  for (const auto& command : totals.commands) {
    requests += command.requests;
    errors += command.errors;
  }
  std::string out = "<div class=tiles>\n";
  out += tile("Sessions",
              grouped(not_negative(totals.sessions)),
              fmt::format("of {}; {} blocked, {} waiting",
                          grouped(now.facts.max_clients),
                          grouped(not_negative(totals.sessions_blocked)),
                          grouped(not_negative(totals.sessions_waiting))));
  out += tile("Requests", grouped(requests), grouped(errors) + " answered with an error");
  out += tile("Through upstream, p95",
              quantile_text(totals.upstream_duration, 0.95),
              "p50 " + quantile_text(totals.upstream_duration, 0.5) + ", p99 " +
                  quantile_text(totals.upstream_duration, 0.99));
  if (!totals.classes.empty()) {
    out += near_cache_tile(now);
  }
  out += tile("Memory",
              base::human_bytes(now.process.resident_bytes),
              "resident; budget " + base::human_bytes(now.facts.memory_budget_bytes));
  out += tile("CPU",
              fmt::format("{:.1f} s", now.process.cpu_seconds),
              fmt::format("{} worker{}", now.workers, now.workers == 1 ? "" : "s"));
  return out + "</div>\n";
}

std::string node_state(const metrics::NodeState& node) {
  if (!node.up) {
    return "<span class=bad>down</span>";
  }
  return node.ready ? "<span class=good>ready</span>" : "<span class=wait>not ready</span>";
}

// The way by which its changes are heard; why it is no better one, on pointing at it.
std::string coherence(const Snapshot& now, std::size_t node) {
  if (node >= now.near_cache.nodes.size()) {
    return "<span class=soft>–</span>";
  }
  const auto& state = now.near_cache.nodes[node];
  const char* css = state.rung == "none" ? "bad" : state.rung == "ttl" ? "wait" : "good";
  return fmt::format("<span class={} title='{}'>{}</span>",
                     css,
                     escaped(base::printable(state.reason, 300)),
                     escaped(state.rung));
}

std::string node_row(const Snapshot& now, std::size_t index) {
  const metrics::NodeState& node = now.nodes[index];
  const metrics::NodeTotals& totals = now.totals.nodes[index];
  const auto unknown = std::string("<span class=soft>–</span>");
  return fmt::format(
      "<tr><td class=name>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td class=n>{}</td>"
      "<td class=n>{}</td><td class=n>{}</td><td class=n>{}</td><td class=n>{}</td>"
      "<td class='wide soft'>{}</td></tr>\n",
      escaped(node.name),
      escaped(node.role),
      node.zone.empty() ? unknown : escaped(node.zone),
      node_state(node),
      coherence(now, index),
      node.lag_bytes ? base::human_bytes(*node.lag_bytes) : unknown,
      node.rtt_seconds ? human_microseconds(*node.rtt_seconds * 1e6) : unknown,
      grouped(totals.requests),
      grouped(not_negative(totals.inflight)),
      grouped(not_negative(totals.lanes)),
      escaped(base::printable(node.last_error, 120)));
}

std::string nodes(const Snapshot& now) {
  std::string out =
      "<section><h2>Nodes</h2><table><tr><th>node<th>role<th>zone<th>state<th>coherence<th "
      "class=n>lag"
      "<th class=n>round trip<th class=n>requests<th class=n>in flight<th class=n>lanes<th></tr>\n";
  for (std::size_t i = 0; i < now.nodes.size(); ++i) {
    out += node_row(now, i);
  }
  if (now.nodes.empty()) {
    out += "<tr><td class=soft colspan=11>none was asked yet</td></tr>\n";
  }
  return out + "</table></section>\n";
}

// Of a class that only observes: what memory would have answered.
std::string class_ratio(const metrics::ClassTotals& each) {
  const std::uint64_t would = each.shadow_hits + each.shadow_misses;
  if (each.hit_ratio() || would == 0) {
    return ratio_text(each);
  }
  return fmt::format("<span class=soft>would be {:.1f} %</span>",
                     static_cast<double>(each.shadow_hits) * 100 / static_cast<double>(would));
}

std::string class_row(const metrics::ClassTotals& each) {
  return fmt::format(
      "<tr><td class=name>{}</td><td class=n>{}</td><td class=n>{}</td><td class=n>{}</td>"
      "<td class=n>{}</td><td class=n>{}</td><td class=n>{}</td><td class=n>{}</td>"
      "<td class=n>{}</td><td class=n>{}</td></tr>\n",
      escaped(each.name),
      class_ratio(each),
      grouped(each.all_hits()),
      grouped(each.all_misses()),
      grouped(each.error_hits),
      grouped(each.joins),
      grouped(each.fills),
      grouped(each.invalidations),
      grouped(each.use.entries),
      base::human_bytes(each.use.bytes));
}

std::string near_cache(const Snapshot& now) {
  if (now.totals.classes.empty()) {
    return "";
  }
  std::string out = "<section><h2>Near cache</h2>";
  if (now.near_cache.bypass_seconds > 0) {
    out += fmt::format("<p class=wait>bypassed for another {}</p>",
                       human_seconds(now.near_cache.bypass_seconds));
  }
  out +=
      "<table><tr><th>class<th class=n>hit ratio<th class=n>hits<th class=n>misses"
      "<th class=n>on errors<th class=n>joins<th class=n>fills<th class=n>invalidated"
      "<th class=n>kept<th class=n>size</tr>\n";
  for (const auto& each : now.totals.classes) {
    out += class_row(each);
  }
  return out + "</table></section>\n";
}

std::string rehearsals(const std::vector<metrics::FaultState>& faults) {
  if (faults.empty()) {
    return "";
  }
  std::string out =
      "<section><h2 class=bad>A rehearsal is on: requests fail on purpose</h2><table>"
      "<tr><th>rule<th class=n>requests<th class=n>ends in</tr>\n";
  for (const auto& fault : faults) {
    out += fmt::format("<tr><td>{}</td><td class=n>{}</td><td class=n>{}</td></tr>\n",
                       escaped(fault.rule),
                       grouped(fault.hits),
                       human_seconds(fault.seconds_left));
  }
  return out + "</table></section>\n";
}

std::string policy(const metrics::PolicyState& policy) {
  if (policy.generation == 0) {
    return "";
  }
  std::string out = fmt::format(
      "<section><h2>Policy</h2><p>generation {} <span class=soft>hash</span> <code>{}</code> "
      "<span class=soft>loaded {} ago</span></p>",
      grouped(policy.generation),
      escaped(policy.hash),
      human_seconds(age_of(policy)));
  if (!policy.last_error.empty()) {
    out += fmt::format("<p class=bad>The file as it is now was not loaded: {}</p>",
                       escaped(base::printable(policy.last_error, 500)));
  }
  return out + "</section>\n";
}

std::string listeners(const std::vector<ListenerView>& all) {
  std::string out = "<section><h2>Listeners</h2><table class=small>\n";
  for (const auto& listener : all) {
    out += fmt::format("<tr><td class=name>{}</td><td class=soft>{}</td></tr>\n",
                       escaped(listener.address),
                       escaped(listener.note));
  }
  return out + "</table></section>\n";
}

std::string command_row(const metrics::CommandTotals& command, std::uint64_t most) {
  return fmt::format(
      "<tr><td class=name>{}</td><td class=n>{}</td>"
      "<td><div class=bar><i style='width:{}%'></i></div></td><td class=n>{}</td><td "
      "class=n>{}</td></tr>\n",
      escaped(command.name),
      grouped(command.requests),
      command.requests * 100 / most,
      command.errors == 0 ? std::string("<span class=soft>0</span>") : grouped(command.errors),
      human_microseconds(static_cast<double>(command.duration_us) /
                         static_cast<double>(command.requests)));
}

std::string commands(const Snapshot& now) {
  auto top = now.totals.commands;
  std::ranges::stable_sort(top, std::ranges::greater(), &metrics::CommandTotals::requests);
  const auto shown = std::min(top.size(), kTopCommands);
  std::string out =
      "<section><h2>Requests by command</h2><table class=small><tr><th>command<th "
      "class=n>requests<th>"
      "<th class=n>errors<th class=n>mean time</tr>\n";
  for (std::size_t i = 0; i < shown; ++i) {
    out += command_row(top[i], top.front().requests);
  }
  if (top.empty()) {
    out += "<tr><td class=soft colspan=5>no request yet</td></tr>\n";
  } else if (shown < top.size()) {
    out += fmt::format("<tr><td class=soft colspan=5>and {} more</td></tr>\n", top.size() - shown);
  }
  return out + "</table></section>\n";
}

// The counts of an enumeration that are not zero, as words.
template <typename Enumeration, std::size_t N>
std::string reasons(const std::array<std::uint64_t, N>& counts) {
  std::string out;
  for (std::size_t i = 0; i < N; ++i) {
    if (counts.at(i) != 0) {
      out += (out.empty() ? "" : ", ") + std::string(label_of(static_cast<Enumeration>(i))) + " " +
             grouped(counts.at(i));
    }
  }
  return out.empty() ? "none" : out;
}

std::string details(const Snapshot& now) {
  const auto& totals = now.totals;
  std::string out = "<section><h2>Details</h2><table class=small>\n";
  const auto row = [&out](std::string_view what, const std::string& text) {
    out += fmt::format("<tr><td class=soft>{}</td><td class=wide>{}</td></tr>\n", what, text);
  };
  row("Refusals", reasons<metrics::Refusal>(totals.refusals));
  decltype(metrics::AwayTotals::answers) away{};
  for (const auto& each : totals.away) {
    std::ranges::transform(away, each.answers, away.begin(), std::plus());
  }
  row("While upstream was away", reasons<metrics::AwayAnswer>(away));
  row("Sessions ended", reasons<metrics::CloseReason>(totals.sessions_closed));
  row("Reads",
      fmt::format("{} in the own zone, {} in another, {} kept on the primary",
                  grouped(totals.reads_same_zone),
                  grouped(totals.reads_cross_zone),
                  grouped(totals.reads_kept_on_primary)));
  row("Clients",
      fmt::format("{} received, {} sent, {} held for them",
                  base::human_bytes(totals.bytes_received),
                  base::human_bytes(totals.bytes_sent),
                  base::human_bytes(not_negative(totals.output_bytes))));
  row("Answered by Pannier",
      fmt::format("p50 {}, p95 {}, p99 {}",
                  quantile_text(totals.local_duration, 0.5),
                  quantile_text(totals.local_duration, 0.95),
                  quantile_text(totals.local_duration, 0.99)));
  return out + "</table></section>\n";
}

}  // namespace

std::string status_page(const Snapshot& snapshot, const AdminSources& sources) {
  std::string out(kHead);
  out += header(snapshot, sources.readiness());
  out += rehearsals(snapshot.faults);
  out += tiles(snapshot);
  out += nodes(snapshot);
  out += near_cache(snapshot);
  out += policy(snapshot.policy);
  out += commands(snapshot);
  out += listeners(sources.listeners);
  out += details(snapshot);
  out += kFoot;
  return out;
}

}  // namespace pannier::admin
