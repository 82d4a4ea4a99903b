#pragma once

#include "pannier/limit/gcra.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

// Limits that a fleet of sidecars shares (research/coherence.md §4, "Local token leasing"). Times
// are microseconds of one steady clock.
namespace pannier::limit {

// The tokens that this process has been lent by the primary, per limit and subject. It asks for B
// of them at once and spends them here; those older than kTau are dropped, never given back. B is
// what is spent in kTau / 2, and at most 1/(2N) of what can be had at once. What needs more than B
// goes to the primary as an ask of its own.
//
// The bound: in any window W the primary issues at most burst + 1 + r*W tokens, and what is spent
// was issued within kTau before, or for the very request that waited for it. So all sidecars
// together admit at most burst + 1 + r*(W + kTau). At most N*B tokens are dropped per kTau.
//
// N, those who share a bucket, nobody tells. It is estimated by what the bucket has issued between
// two grants to this process; until then it is 8. N changes how much is asked for and how soon
// after a refusal, not the bound.
//
// Sans-io: says what to ask for, is told the answer. Of fixed size; what is under way is not
// dropped. Not thread-safe: one per worker, which counts as a sidecar of its own.
class FleetLeases {
 public:
  static constexpr std::int64_t kTau = 100'000;
  static constexpr std::int64_t kAwayFor = 1'000'000;
  static constexpr std::size_t kBuckets = std::size_t{8} * 1024;

  enum class Kind : std::uint8_t {
    Spent,
    Denied,
    Wait,  // `answered` or `failed` will name the waiter
    Away   // the primary does not answer just now
  };

  struct Answer {
    Kind kind = Kind::Spent;
    std::int64_t retry_after = 0;  // of Denied; -1: so many can never be had
    std::int64_t ask = 0;          // so many tokens are to be asked for now; 0: none
  };

  // What the script said to an ask (gcra_script.hpp).
  struct Told {
    bool granted = false;
    std::int64_t remaining = 0;    // that nobody has taken
    std::int64_t reset_after = 0;  // until all tokens are there again
  };

  // What was asked of the primary.
  struct Ask {
    std::uint64_t key = 0;  // of the bucket
    std::int64_t tokens = 0;
    std::int64_t sent = 0;
  };

  // Whoever waited goes on now.
  struct Settled {
    std::uint64_t key = 0;  // of the bucket
    std::uint64_t waiter = 0;
    std::int64_t quantity = 0;
    bool paid = false;  // its tokens are spent; else it is to ask again
  };

  explicit FleetLeases(std::uint32_t seed) : random_(seed) {}

  // The rate as the script counts it. REQUIRES: count > 0, period > 0
  [[nodiscard]] static Rate rate_of(std::uint64_t count, std::int64_t period, std::uint64_t burst);

  // `key`: a hash of the limit and its subject, who have a bucket. `waiter`: names the request,
  // should it wait. REQUIRES: quantity > 0, now > 0
  [[nodiscard]] Answer spend(const Rate& rate,
                             std::uint64_t key,
                             std::int64_t quantity,
                             std::uint64_t waiter,
                             std::int64_t now);
  // Spent for a request that was refused or went away.
  void give_back(std::uint64_t key, std::int64_t quantity);

  // The primary answered.
  void answered(const Rate& rate,
                const Ask& ask,
                const Told& told,
                std::int64_t now,
                std::vector<Settled>& settled);
  // It did not, or could not be asked.
  void failed(std::uint64_t key, std::int64_t now, std::vector<Settled>& settled);
  // Somebody has waited long enough: nobody waits until an ask is answered, one a second.
  void give_up(std::int64_t now);

  // Tokens that were lent and dropped.
  [[nodiscard]] std::uint64_t wasted() const { return wasted_; }

 private:
  static constexpr std::size_t kWays = 8;
  static constexpr std::int32_t kNobody = -1;

  struct Lease {
    std::int64_t tokens = 0;
    std::int64_t drop_at = 0;
  };

  struct Waiter {
    std::uint64_t name = 0;
    std::int64_t quantity = 0;
    std::int32_t next = kNobody;
  };

  struct Bucket {
    std::uint64_t key = 0;             // 0: free
    std::array<Lease, 2> leases{};     // the older one first
    std::int64_t full_at = 0;          // the primary's state, as last told
    std::int64_t granted_full_at = 0;  // the same at the last grant
    std::int64_t ask_from = 0;         // after a refusal
    std::int64_t ask_most = 0;         // so many were left at a refusal; 0: ask for B
    std::int64_t backlog = 0;          // quantity of those who have to ask again
    std::int64_t wanted = 0;           // tokens, since `since`
    std::int64_t since = 0;
    double demand = 0;             // tokens per microsecond
    double own = 0;                // tokens of a grant to this process
    double all = 0;                // issued to all from one to the next
    int samples = 0;               // of both
    std::int32_t first = kNobody;  // who waits
    std::int32_t last = kNobody;
    bool asking = false;
  };

  [[nodiscard]] Bucket* find(std::uint64_t key);
  [[nodiscard]] Bucket* take_place(std::uint64_t key, std::int64_t now);
  void drop_old(Bucket& bucket, std::int64_t now);
  [[nodiscard]] std::int64_t prefetch(const Rate& rate, Bucket& bucket, std::int64_t now);
  [[nodiscard]] Answer answer_away(const Rate& rate, Bucket& bucket, std::int64_t now);
  [[nodiscard]] std::int64_t begin_ask(const Rate& rate, Bucket& bucket, std::int64_t quantity);
  void be_shy(const Rate& rate, Bucket& bucket, std::int64_t sent);
  void wait(Bucket& bucket, std::uint64_t waiter, std::int64_t quantity);
  void settle(Bucket& bucket, bool failed, std::vector<Settled>& settled);

  std::vector<Bucket> buckets_;  // empty until the first use
  std::vector<Waiter> waiters_;
  std::int32_t free_waiter_ = kNobody;
  std::int64_t probe_from_ = 0;  // while `away_`
  bool away_ = false;
  std::uint64_t wasted_ = 0;
  std::minstd_rand random_;

  static std::int64_t tokens_of(const Bucket& bucket);
  static void add_lease(Bucket& bucket, std::int64_t tokens, std::int64_t sent);
  static bool pay(Bucket& bucket, std::int64_t quantity);
  static void note_demand(Bucket& bucket, std::int64_t quantity, std::int64_t now);
  static void note_share(
      const Rate& rate, Bucket& bucket, std::int64_t asked, const Told& told, std::int64_t sent);
  static double sharers(const Bucket& bucket);
  static std::int64_t most_at_once(const Rate& rate, const Bucket& bucket);
  static std::int64_t batch(const Rate& rate, const Bucket& bucket);
};

}  // namespace pannier::limit
