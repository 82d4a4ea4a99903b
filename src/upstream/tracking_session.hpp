#pragma once

#include "pannier/base/clock.hpp"
#include "pannier/upstream/tracking.hpp"

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pannier::upstream {

// Of the two connections to a node.
enum class TrackingEnd : std::uint8_t {
  Hearer,    // pushes arrive here
  Companion  // writes the canary, and in the rung Redirect is the one that is tracked
};

enum class TrackingAsk : std::uint8_t {
  Info,
  Track,
  Subscribe,
  Ping,
  GetCanary,
  WriteCanary  // by the driver, for whichever session wished it
};

struct TrackingRequest {
  TrackingEnd end = TrackingEnd::Hearer;
  TrackingAsk ask = TrackingAsk::Info;
  std::string bytes;
};

// One try to hear of a node's changes in one rung, from the open connections to the proof that
// pushes arrive, and the watch over it from then on. Sans-io: what happened goes in, requests, a
// wish for a canary and a verdict come out. Times are those of the running turn.
class TrackingSession {
 public:
  // A canary must be seen within this, and a question answered.
  static constexpr auto kAnswerWithin = std::chrono::seconds(1);
  // While nobody can write a canary, it is wished for again.
  static constexpr auto kAwayAgain = std::chrono::milliseconds(100);
  static constexpr auto kKeepAlive = std::chrono::seconds(10);

  struct Goal {
    Rung rung = Rung::Resp3;            // Resp3, Redirect or Channel
    bool primary = false;               // the canary can be written here
    std::string run_id;                 // of the server that must answer; empty: not known
    std::vector<std::string> prefixes;  // see prefixes_to_register
  };

  enum class Verdict : std::uint8_t {
    Going,
    Coherent,
    Fall,  // this rung is not to be had from this node
    Fail   // it was lost, or is not to be had now
  };

  // What becomes of a wish for a canary.
  enum class Source : std::uint8_t {
    Sent,
    Away,  // there is no primary just now
    Never  // the primary cannot be written to, or is itself at the rung Ttl
  };

  // A canary was heard. `lag` is zero when it was somebody else's.
  struct Proof {
    base::TimePoint at;
    base::Duration lag{};
  };

  TrackingSession(Goal goal, std::uint32_t seed) : goal_(std::move(goal)), random_(seed) {}

  [[nodiscard]] const Goal& goal() const { return goal_; }

  [[nodiscard]] bool needs_companion() const {
    return goal_.primary || goal_.rung == Rung::Redirect;
  }

  // Inputs. `client_id`: CLIENT ID of the connection, 0 when it is not known.
  void opened(TrackingEnd end, std::int64_t client_id, base::TimePoint now);
  // `refusal`: the server's own words, if it refused the handshake.
  void closed(TrackingEnd end, const std::string& reason, std::string_view refusal);
  void reply(TrackingEnd end, TrackingAsk what, std::string_view bytes, base::TimePoint now);
  // `value`: what the message said; empty where a push tells its key only.
  void canary_heard(std::string_view value, base::TimePoint now);
  // This sidecar has sent one, for a session of that rung; then the server's answer to it.
  void canary_sent(Rung rung, std::string_view value, base::TimePoint now);
  void canary_answered(std::string_view value, std::string_view reply, base::TimePoint now);

  void canary_source(Source source) { source_ = source; }

  void time(base::TimePoint now);

  void fall(std::string reason) { settle(Verdict::Fall, std::move(reason)); }

  void fail(std::string reason) { settle(Verdict::Fail, std::move(reason)); }

  // Outputs.
  [[nodiscard]] std::vector<TrackingRequest> take_requests();
  [[nodiscard]] bool take_wish();  // for a canary
  [[nodiscard]] std::optional<Proof> take_proof();

  [[nodiscard]] Verdict verdict() const { return verdict_; }

  [[nodiscard]] bool is_over() const {
    return verdict_ == Verdict::Fall || verdict_ == Verdict::Fail;
  }

  [[nodiscard]] const std::string& reason() const { return reason_; }

  // When `time` is to be called next, if ever.
  [[nodiscard]] std::optional<base::TimePoint> due() const;

  // Of the server that the hearer is connected to, as it said; empty: not known.
  [[nodiscard]] const std::string& run_id() const { return run_ids_[0]; }

 private:
  enum class Phase : std::uint8_t {
    Opening,
    Registering,
    Proving,  // that pushes arrive
    Watching
  };

  // What a canary's way through the server and back tells.
  struct Measured {
    std::string value;
    base::TimePoint sent_at{};
    base::TimePoint heard_at{};  // of the push whose canary is being looked up
    bool outstanding = false;    // sent, and not heard yet
    bool looking = false;
  };

  void ask(TrackingEnd end, TrackingAsk what);
  void begin_registering(base::TimePoint now);
  void begin_proving(base::TimePoint now);
  void begin_watching(base::TimePoint now);
  void registered(TrackingEnd end, TrackingAsk what, std::string_view bytes, base::TimePoint now);
  void note_run_id(TrackingEnd end, std::string_view bytes);
  void refused(TrackingAsk what, std::string_view error);
  void look_after_proof(base::TimePoint now);
  void answered_while_proving(TrackingAsk what, std::string_view bytes, base::TimePoint now);
  void look_up_canary(std::string_view bytes);
  void watch(base::TimePoint now);
  void wish_later(base::TimePoint now);
  void settle(Verdict verdict, std::string reason);

  [[nodiscard]] bool canary_is_key() const { return goal_.rung != Rung::Channel; }

  const Goal goal_;
  std::minstd_rand random_;
  Phase phase_ = Phase::Opening;
  Verdict verdict_ = Verdict::Going;
  std::string reason_;
  std::vector<TrackingRequest> requests_;
  bool wish_ = false;
  std::optional<Proof> proof_;

  std::array<bool, 2> open_{};
  std::int64_t hearer_id_ = 0;
  std::array<std::string, 2> run_ids_;
  std::size_t unanswered_ = 0;  // of registering
  base::TimePoint deadline_{};  // of registering; of the next look while proving
  Source source_ = Source::Away;
  bool acknowledged_ = false;  // a canary that was sent while proving
  bool asked_ = false;         // a question to the hearer is not answered yet
  bool asked_companion_ = false;
  bool last_question_ = false;  // answered without a push before it, this rung is not to be had
  base::TimePoint heard_at_{};
  base::TimePoint wish_at_{};
  base::TimePoint keep_alive_at_{};
  Measured own_;
};

}  // namespace pannier::upstream
