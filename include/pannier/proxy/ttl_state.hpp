#pragma once

#include "pannier/policy/ttl_plan.hpp"
#include "pannier/resp/reply_scanner.hpp"
#include "pannier/upstream/slot.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace pannier::proxy {

// An element of EXEC's reply that the client must not see as it is: one of Pannier's own, which
// goes, or a SETNX that was sent as SET.
struct TtlPlace {
  std::uint32_t index = 0;
  bool is_added = false;
};

// What a session has queued since MULTI.
struct TtlTransaction {
  std::uint32_t queued = 0;
  std::vector<TtlPlace> places;  // by index
};

// EXEC's reply on its way through (exec_reply.hpp).
struct ExecReply {
  enum class Stage : std::uint8_t {
    Header,
    Elements,
    AsItIs,  // the rest
    Drop     // the rest
  };

  TtlTransaction transaction{};
  Stage stage = Stage::Header;
  std::uint32_t element = 0;     // the one that is being read
  std::size_t place = 0;         // the next one of the transaction's
  resp::ReplyScanner scanner{};  // of the element
  std::string kept{};            // of the header, or of a SETNX's element
};

// A command of Pannier's own that has to wait.
struct TtlFollower {
  std::string request;
  policy::ClassId key_class = policy::kNoClass;
  std::uint64_t key_hash = 0;
};

// A TTL that a client has set, if its reply says so.
struct TtlStoredLife {
  std::string key;
  std::uint32_t db = 0;
  policy::ClassId key_class = policy::kNoClass;
  std::int64_t ms = 0;
};

struct TtlFollowers {
  std::vector<TtlFollower> all;
  std::optional<TtlStoredLife> life{};
  bool after_stored = false;  // for the client's reply; else for the last byte of its upload
};

// What one worker knows of TTL rules at work (ttl_requests.hpp).
struct TtlState {
  bool planned = false;  // `plan` is the running request's, and there is something in it
  policy::TtlPlan plan;
  std::string frame;  // of the rewritten request
  std::string added;  // the one that is about to be sent behind it
  std::unordered_map<upstream::SlotIndex, TtlFollowers> followers;
  std::unordered_map<upstream::SlotIndex, ExecReply> transactions;
  base::TimePoint next_refusal_log{};
  std::vector<policy::ClassId> warned;  // classes of `store: never` that somebody counts in
};

// The class of a key of the running request, once it was asked for. Empty between requests: another
// one's key may lie in the same place.
struct MatchedKey {
  std::string_view key;  // compared by where it lies
  policy::ClassId id = policy::kNoClass;
};

}  // namespace pannier::proxy
