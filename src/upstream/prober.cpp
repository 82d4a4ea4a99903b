#include "pannier/upstream/prober.hpp"

#include "pannier/base/clock.hpp"
#include "pannier/base/log.hpp"
#include "pannier/metrics/worker_metrics.hpp"
#include "pannier/net/resolver.hpp"
#include "pannier/route/node_roles.hpp"

#include "breakers.hpp"
#include "node_addresses.hpp"
#include "node_watch.hpp"
#include "primary_history.hpp"
#include "reader_places.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <utility>
#include <vector>

namespace pannier::upstream {
namespace {

namespace asio = boost::asio;
using base::Clock;
using boost::system::error_code;

constexpr std::chrono::milliseconds kJoin{20};  // refreshes closer than this are one
constexpr std::chrono::milliseconds kJoinReports{10};
constexpr std::chrono::milliseconds kAskOnReport{100};  // at most so often
constexpr std::chrono::seconds kUrgent{30};             // without a primary, then no more haste
constexpr std::size_t kMaxReaderNodes = 16;

// Of the clock's moment, as the log tells time: "17:29:03.250" in UTC.
std::string time_of_day(base::TimePoint when) {
  using std::chrono::duration_cast;
  using std::chrono::milliseconds;
  using std::chrono::system_clock;
  const auto wall =
      system_clock::now() - duration_cast<system_clock::duration>(Clock::now() - when);
  const auto since_midnight = duration_cast<milliseconds>(wall.time_since_epoch()) %
                              duration_cast<milliseconds>(std::chrono::days(1));
  const auto ms = since_midnight.count();
  return fmt::format(
      "{:02}:{:02}:{:02}.{:03}", ms / 3'600'000, ms / 60'000 % 60, ms / 1000 % 60, ms % 1000);
}

}  // namespace

// Lives as long as a coroutine or handler of it is left in the io_context, which may be longer than
// the Prober; after stop() they end by themselves.
class ProbeLoop : public std::enable_shared_from_this<ProbeLoop> {
 public:
  ProbeLoop(asio::io_context& io,
            const config::Config& config,
            route::RecentWrites& recent_writes,
            Prober::Publish publish)
      : io_(io),
        config_(config),
        publish_(std::move(publish)),
        roles_(config),
        resolver_(io, config.dns.servers),
        shared_{io,
                config_,
                recent_writes,
                roles_,
                resolver_,
                [this] { look(); },
                [this](net::LookupResult result) { count_lookup(result); },
                [this](route::NodeId id) { on_silent(id); },
                [this](route::NodeId id, const std::string& error, base::TimePoint began) {
                  on_probe(id, error, began);
                },
                [this] {
                  return is_urgent();
                }},
        breakers_(roles_),
        first_reader_(config.upstream.nodes.size()),
        places_(std::min(kMaxReaderNodes,
                         metrics::kMaxNodes - std::min(first_reader_, metrics::kMaxNodes))),
        join_(io),
        join_reports_(io) {}

  void set_on_lookup(Prober::OnLookup on_lookup) { on_lookup_ = std::move(on_lookup); }

  void set_on_failover(Prober::OnFailover on_failover) { on_failover_ = std::move(on_failover); }

  void set_replies(Prober::Replies replies) { breakers_.set_replies(std::move(replies)); }

  void start();
  void stop();
  void refresh();
  void report(route::NodeId node, route::Failure failure, std::uint32_t count);
  void set_own_zone(std::string zone);

 private:
  void watch(route::NodeId id, std::string name, const base::Endpoint& where);
  void expand_reader();
  void give_up(std::size_t place);
  void on_silent(route::NodeId id);
  void on_probe(route::NodeId id, const std::string& error, base::TimePoint began);
  [[nodiscard]] bool is_urgent() const;
  void note_primary();
  void take_reports();
  void tell_failover();
  void count_lookup(net::LookupResult result);
  void look();
  void wake_all();

  asio::io_context& io_;
  const config::Config config_;
  Prober::Publish publish_;
  Prober::OnLookup on_lookup_;
  Prober::OnFailover on_failover_;
  route::NodeRoles roles_;
  route::TopologyPtr published_ = std::make_shared<const route::Topology>();
  net::Resolver resolver_;
  ProbeShared shared_;
  Breakers breakers_;
  PrimaryHistory history_;
  FailureReports reports_;
  metrics::FailoverState failover_;
  base::TimePoint without_primary_since_ = Clock::now();
  std::vector<std::unique_ptr<NodeWatch>> watches_;  // by node id; the reader endpoint's come last
  std::unique_ptr<NodeAddresses> reader_;
  std::size_t first_reader_;
  ReaderPlaces places_;
  bool no_room_told_ = false;
  metrics::DnsState dns_;
  asio::steady_timer join_;
  asio::steady_timer join_reports_;
  base::TimePoint refreshed_{};
  std::atomic<bool> refresh_asked_{false};
  bool stopped_ = false;
};

void ProbeLoop::start() {
  for (const auto& node : config_.upstream.nodes) {
    watch(static_cast<route::NodeId>(watches_.size()), node.address.to_string(), node.address);
  }
  if (config_.upstream.reader) {
    auto on_answer = [this](net::LookupResult result) {
      count_lookup(result);
      expand_reader();
    };
    reader_ = std::make_unique<NodeAddresses>(
        io_, resolver_, *config_.upstream.reader, std::move(on_answer));
    reader_->look_up();
    expand_reader();
  }
}

void ProbeLoop::watch(route::NodeId id, std::string name, const base::Endpoint& where) {
  if (id == watches_.size()) {
    watches_.emplace_back();
  }
  watches_[id] = std::make_unique<NodeWatch>(shared_, id, std::move(name), where);
  watches_[id]->start(shared_from_this());
}

void ProbeLoop::stop() {
  stopped_ = true;
  join_.cancel();
  join_reports_.cancel();
  if (reader_) {
    reader_->stop();
  }
  for (const auto& node : watches_) {
    node->end();
  }
}

void ProbeLoop::refresh() {
  if (refresh_asked_.exchange(true)) {
    return;
  }
  asio::post(io_, [self = shared_from_this()] {
    self->join_.expires_at(self->refreshed_ + kJoin);
    self->join_.async_wait([self](const error_code& error) {
      self->refresh_asked_.store(false);
      if (!error && !self->stopped_) {
        self->refreshed_ = Clock::now();
        self->wake_all();
      }
    });
  });
}

void ProbeLoop::wake_all() {
  for (const auto& node : watches_) {
    node->refresh();
  }
  if (reader_) {
    reader_->look_up();
  }
}

void ProbeLoop::report(route::NodeId node, route::Failure failure, std::uint32_t count) {
  if (node >= metrics::kMaxNodes || !reports_.add(node, failure, count)) {
    return;
  }
  asio::post(io_, [self = shared_from_this()] {
    self->join_reports_.expires_after(kJoinReports);
    self->join_reports_.async_wait([self](const error_code& error) {
      if (!error && !self->stopped_) {
        self->take_reports();
      }
    });
  });
}

void ProbeLoop::take_reports() {
  const auto now = Clock::now();
  bool is_doubtful = false;
  reports_.take([&](route::NodeId node, route::Failure failure, std::uint32_t count) {
    breakers_.failed(node, failure, count, now);
    is_doubtful = is_doubtful || roles_.current().nodes.at(node).reachable;
  });
  if (is_doubtful && now - refreshed_ >= kAskOnReport) {
    refresh();  // the prober's own question decides
  }
  tell_failover();
  look();
}

// Before the snapshot is published, so that the log tells things in their order.
void ProbeLoop::on_probe(route::NodeId id, const std::string& error, base::TimePoint began) {
  breakers_.probed(id, error, began, Clock::now());
  note_primary();
  tell_failover();
}

// While no primary answers all nodes are asked eagerly: any may have become it.
bool ProbeLoop::is_urgent() const {
  return !roles_.primary_answers() && Clock::now() - without_primary_since_ < kUrgent;
}

void ProbeLoop::note_primary() {
  const bool was_away = history_.is_away();
  const auto end = history_.note(roles_.primary(), roles_.primary_answers(), roles_.primary_seen());
  if (!was_away && history_.is_away()) {
    without_primary_since_ = Clock::now();
    wake_all();
  }
  if (!end) {
    return;
  }
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(end->back - end->lost);
  const auto& nodes = roles_.current().nodes;
  ++(end->from == end->to ? failover_.outages : failover_.failovers);
  failover_.last_seconds = std::chrono::duration<double>(end->back - end->lost).count();
  const std::string lost = time_of_day(end->lost);
  const std::string back = time_of_day(end->back);
  if (end->from == end->to) {
    base::log_warn("failover",
                   "primary {} was lost at {} and answers again since {}, took {} ms",
                   nodes[end->to].name,
                   lost,
                   back,
                   took.count());
  } else {
    base::log_warn("failover",
                   "primary {} was lost at {}, {} is primary since {}, took {} ms",
                   nodes[end->from].name,
                   lost,
                   nodes[end->to].name,
                   back,
                   took.count());
  }
}

void ProbeLoop::tell_failover() {
  if (on_failover_) {
    failover_.breakers = breakers_.totals();
    on_failover_(failover_);
  }
}

void ProbeLoop::set_own_zone(std::string zone) {
  roles_.set_own_zone(std::move(zone));
  look();
}

// Nodes of the reader endpoint are watched like all others: the endpoint only says where to look.
void ProbeLoop::expand_reader() {
  if (reader_->known().empty()) {
    return;
  }
  const auto changes = places_.answered(reader_->known(), [this](std::size_t place) {
    return roles_.primary() == first_reader_ + place;
  });
  for (const std::size_t place : changes.left) {
    give_up(place);
  }
  for (const auto& [place, address] : changes.taken) {
    const std::size_t id = first_reader_ + place;
    const std::string name = reader_->name() + "#" + std::to_string(place + 1);
    if (id == watches_.size()) {
      roles_.add(name);
    }
    base::Endpoint where;
    static_cast<void>(base::Endpoint::parse(address.to_string(), where));
    watch(static_cast<route::NodeId>(id), name, where);
  }
  if (changes.no_room > 0 && !std::exchange(no_room_told_, true)) {
    base::log_warn(
        "prober", "{} has {} addresses more than can be used", reader_->name(), changes.no_room);
  }
}

void ProbeLoop::give_up(std::size_t place) {
  const auto id = static_cast<route::NodeId>(first_reader_ + place);
  watches_[id]->end();
  roles_.forget(id, "is no longer an address of " + reader_->name());
  breakers_.forget(id, Clock::now());
  look();
}

void ProbeLoop::on_silent(route::NodeId id) {
  if (id >= first_reader_ && id != roles_.primary() && places_.fell_silent(id - first_reader_)) {
    give_up(id - first_reader_);
  }
}

void ProbeLoop::count_lookup(net::LookupResult result) {
  ++dns_.lookups.at(static_cast<std::size_t>(result));
  dns_.names.clear();
  for (const auto& node : watches_) {
    if (node->addresses().is_name()) {
      dns_.names.push_back({node->name(), node->addresses().good_at()});
    }
  }
  if (reader_ && reader_->is_name()) {
    dns_.names.push_back({reader_->name(), reader_->good_at()});
  }
  if (on_lookup_) {
    on_lookup_(dns_);
  }
}

void ProbeLoop::look() {
  if (stopped_ || !roles_.is_settled()) {
    return;
  }
  if (const auto changed = roles_.take_changed()) {
    for (const auto& line : route::describe_changes(*published_, *changed)) {
      base::log(line.level, "prober", "{}", line.text);
    }
    published_ = changed;
    publish_(changed);
  }
}

struct Prober::Impl {
  std::shared_ptr<ProbeLoop> loop;
};

Prober::Prober(asio::io_context& io,
               const config::Config& config,
               route::RecentWrites& recent_writes,
               Publish publish)
    : impl_(std::make_unique<Impl>(
          Impl{std::make_shared<ProbeLoop>(io, config, recent_writes, std::move(publish))})) {}

Prober::~Prober() {
  impl_->loop->stop();
}

void Prober::start() {
  impl_->loop->start();
}

void Prober::stop() {
  impl_->loop->stop();
}

void Prober::refresh() {
  impl_->loop->refresh();
}

void Prober::report(route::NodeId node, route::Failure failure, std::uint32_t count) {
  impl_->loop->report(node, failure, count);
}

void Prober::set_on_failover(OnFailover on_failover) {
  impl_->loop->set_on_failover(std::move(on_failover));
}

void Prober::set_replies(Replies replies) {
  impl_->loop->set_replies(std::move(replies));
}

void Prober::set_on_lookup(OnLookup on_lookup) {
  impl_->loop->set_on_lookup(std::move(on_lookup));
}

void Prober::set_own_zone(std::string zone) {
  impl_->loop->set_own_zone(std::move(zone));
}

}  // namespace pannier::upstream
