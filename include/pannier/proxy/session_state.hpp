#pragma once

#include "pannier/base/clock.hpp"
#include "pannier/resp/protocol.hpp"

#include <cstdint>
#include <string>

namespace pannier::proxy {

enum class ReplyMode : std::uint8_t {
  On,
  Off,
  SkipNext,  // CLIENT REPLY SKIP was just seen: the next command is silent
  Skip       // this command is silent
};

// What a client set on its connection: everything about a session that is neither socket nor
// queue. Owned by its Session, on its worker's thread. Local commands read and change it.
struct SessionState {
  std::uint64_t id = 0;        // CLIENT ID: unique in the process, from 1
  std::string remote_address;  // "127.0.0.1:51234" or "/path:0" for a Unix socket
  std::string local_address;
  int fd = -1;
  std::string name;
  std::string library_name;
  std::string library_version;
  std::string user = "default";
  bool authenticated = true;
  resp::Version version = resp::Version::Resp2;
  std::uint32_t db = 0;
  ReplyMode reply_mode = ReplyMode::On;
  bool no_evict = false;
  bool no_touch = false;

  // Kept by the session; shown by CLIENT LIST and INFO.
  bool in_multi = false;
  bool watching = false;
  bool tracking = false;
  bool monitoring = false;
  bool blocked = false;
  std::uint32_t queued_in_multi = 0;
  std::uint32_t channels = 0;
  std::uint32_t patterns = 0;
  std::uint32_t shard_channels = 0;
  base::TimePoint created{};
  base::TimePoint last_active{};
  std::string last_command = "NULL";
  std::uint64_t output_bytes = 0;
  std::uint64_t input_bytes = 0;

  [[nodiscard]] bool subscribed() const { return channels + patterns + shard_channels > 0; }
};

}  // namespace pannier::proxy
