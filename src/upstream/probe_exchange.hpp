#pragma once

#include "pannier/config/config.hpp"
#include "pannier/route/node_roles.hpp"

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

struct redisReader;
struct redisReply;

namespace pannier::upstream {

// One round of questions to one node and its answers, all pipelined: bytes in, an answer out. Pure;
// hiredis is the codec.
class ProbeExchange {
 public:
  enum class Progress : std::uint8_t {
    More,
    Done,
    Failed  // see error(); the connection is of no use
  };

  // `opening`: the connection is new, so it also authenticates, says its name and asks who is
  // there.
  ProbeExchange(const config::Config& config, bool opening);
  ~ProbeExchange();
  ProbeExchange(const ProbeExchange&) = delete;
  ProbeExchange& operator=(const ProbeExchange&) = delete;

  [[nodiscard]] const std::string& request() const { return request_; }

  [[nodiscard]] Progress feed(std::string_view bytes);

  [[nodiscard]] const route::ProbeAnswer& answer() const { return answer_; }

  [[nodiscard]] const std::string& error() const { return error_; }

  // Questions that the server refused for want of permission: "ROLE, INFO replication".
  [[nodiscard]] const std::string& refused() const { return refused_; }

 private:
  enum class Question : std::uint8_t {
    Auth,
    SetName,
    Role,
    Info
  };

  struct Asked {
    Question question;
    std::string text;  // without secrets
  };

  void ask(Question question, const std::vector<std::string>& words);
  [[nodiscard]] bool take(const redisReply& reply);
  [[nodiscard]] bool take_error(const Asked& asked, std::string_view text);

  struct FreeReader {
    void operator()(redisReader* reader) const;
  };

  std::unique_ptr<redisReader, FreeReader> reader_;
  std::string request_;
  std::deque<Asked> asked_;
  std::size_t bytes_ = 0;
  route::ProbeAnswer answer_;
  std::string error_;
  std::string refused_;
};

}  // namespace pannier::upstream
