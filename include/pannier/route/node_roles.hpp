#pragma once

#include "pannier/base/address.hpp"
#include "pannier/base/clock.hpp"
#include "pannier/base/log.hpp"
#include "pannier/config/config.hpp"
#include "pannier/route/topology.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pannier::route {

// What one node said of itself in one probe. A field that it did not tell (or may not tell: managed
// services refuse some commands) stays empty.
struct ProbeAnswer {
  Role role = Role::Unknown;
  bool loading = false;
  bool link_up = false;                         // replica: its link to its primary
  std::optional<std::uint64_t> written_offset;  // of a primary
  std::optional<std::uint64_t> applied_offset;  // of a replica
  std::string replication_id;                   // offsets compare only within one
  std::string following;  // replica: host:port of its primary, in its own words
  std::uint32_t connected_replicas = 0;
  std::string run_id;
  std::string version;
  std::string zone;
  bool cluster = false;
  std::uint32_t rtt_us = 0;
};

// ROLE's reply, an inner array given as the number of its elements; false when it is none.
bool read_role(const std::vector<std::string>& fields, ProbeAnswer& answer);
// Any section of INFO; adds to what is there. Where both tell, the later call wins.
void read_info(std::string_view text, ProbeAnswer& answer);

// Decides what upstream looks like from what the nodes answered: who is primary, which replicas may
// serve, how far each has caught up. Pure: answers and time in, snapshots out. Control thread only.
//
// - A node that stops answering keeps its role. The primary stays the last known one until another
//   node claims the role.
// - Of two that claim it, the one that replicas follow wins, then the one that was it before, then
//   the one with more data: a node that came back empty must not win.
// - Two nodes with one run id are one server under two names: the earlier name is used.
// - A replica whose link broke stays ready for three probes, or for as long as no primary answers
//   (the link breaks because the primary is gone, which is when replicas are needed most).
//   Read-your-writes does not depend on that: it goes by `caught_up_epoch`.
class NodeRoles {
 public:
  static constexpr std::uint64_t kMaxLag = 10ULL * 1024 * 1024;
  static constexpr std::size_t kRounds = 8;  // round trips remembered per node

  explicit NodeRoles(const config::Config& config);

  // `closed_epoch`: what RecentWrites::close_epoch() returned before this question left; 0: none.
  void answered(NodeId id,
                const ProbeAnswer& answer,
                std::uint64_t closed_epoch,
                base::TimePoint now);
  void failed(NodeId id, std::string error, base::TimePoint now);
  void resolved(NodeId id, const base::SocketAddress& address);
  void set_breaker(NodeId id, BreakerState state, base::TimePoint now);
  // One more node, behind those of the configuration.
  void add(std::string name);
  // Nobody is at this place any more; another node may take it later.
  void forget(NodeId id, std::string reason);
  void set_own_zone(std::string zone);

  [[nodiscard]] NodeId primary() const { return next_.primary; }

  // When the primary answered last, as the primary.
  [[nodiscard]] base::TimePoint primary_seen() const { return primary_seen_; }

  // What the next snapshot will say.
  [[nodiscard]] const Topology& current() const { return next_; }

  // The primary's last probe was answered, and it is one.
  [[nodiscard]] bool primary_answers() const;

  // A primary answers, or every node has answered or failed: there is something to publish.
  [[nodiscard]] bool is_settled() const;
  // The next snapshot, or nothing when no change matters since the last one.
  [[nodiscard]] TopologyPtr take_changed();

 private:
  struct Seen {
    bool tried = false;
    ProbeAnswer answer;
    std::optional<base::TimePoint> last_good;     // replica: link up, lag known and small
    std::array<std::uint32_t, kRounds> rtt_us{};  // of the last rounds; 0: none yet
    std::size_t rounds = 0;
    bool too_far = false;
    bool in_step = false;
  };

  // All writes answered in epochs up to `epoch` lie at or below `offset`.
  struct Checkpoint {
    std::uint64_t epoch;
    std::uint64_t offset;
  };

  void choose_primary(base::TimePoint now);
  [[nodiscard]] bool claims(const Node& node) const;
  [[nodiscard]] bool is_better(const Node& node, const Node& than) const;
  [[nodiscard]] std::uint32_t followers(const Node& node) const;
  void note_primary(std::uint64_t closed_epoch, base::TimePoint now);
  void note_replica(Node& node, base::TimePoint now);
  void judge(base::TimePoint now);
  void judge_replica(Node& node, base::TimePoint now);
  [[nodiscard]] const Node* twin_of(const Node& node) const;
  [[nodiscard]] bool shares_history(const ProbeAnswer& answer) const;
  [[nodiscard]] std::uint64_t caught_up(std::uint64_t applied) const;

  bool single_;
  base::Duration grace_;
  Topology next_;
  TopologyPtr published_;
  std::vector<Seen> seen_;  // by NodeId
  // The replication history that the figures below belong to.
  NodeId history_of_ = kNoNode;
  std::string history_;
  std::string history_run_;
  std::optional<std::uint64_t> primary_offset_;
  base::TimePoint primary_seen_{};
  std::deque<Checkpoint> checkpoints_;
};

// One line per change that an operator wants to know of.
struct ChangeLine {
  base::LogLevel level = base::LogLevel::Info;
  std::string text;
};

[[nodiscard]] std::vector<ChangeLine> describe_changes(const Topology& before,
                                                       const Topology& after);

}  // namespace pannier::route
