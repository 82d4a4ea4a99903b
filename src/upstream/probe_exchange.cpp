#include "probe_exchange.hpp"

#include "pannier/base/bytes.hpp"

#include <hiredis/hiredis.h>

namespace pannier::upstream {
namespace {

// INFO of a section is a few KiB; a server that sends more than this is not one we understand.
constexpr std::size_t kMaxBytes = 1024 * 1024;

std::string_view text_of(const redisReply& reply) {
  return reply.str == nullptr ? std::string_view() : std::string_view(reply.str, reply.len);
}

// ROLE's array, one level deep: an inner array is told by its size.
std::vector<std::string> fields_of(const redisReply& reply) {
  std::vector<std::string> fields;
  for (std::size_t i = 0; i < reply.elements; ++i) {
    const redisReply& element = *reply.element[i];
    switch (element.type) {
      case REDIS_REPLY_INTEGER:
        fields.push_back(std::to_string(element.integer));
        break;
      case REDIS_REPLY_ARRAY:
        fields.push_back(std::to_string(element.elements));
        break;
      default:
        fields.emplace_back(text_of(element));
    }
  }
  return fields;
}

}  // namespace

void ProbeExchange::FreeReader::operator()(redisReader* reader) const {
  redisReaderFree(reader);
}

ProbeExchange::ProbeExchange(const config::Config& config, bool opening)
    : reader_(redisReaderCreate()) {
  if (opening) {
    if (const auto& auth = config.upstream.auth) {
      if (auth->user.empty()) {
        ask(Question::Auth, {"AUTH", auth->password});
      } else {
        ask(Question::Auth, {"AUTH", auth->user, auth->password});
      }
    }
    ask(Question::SetName, {"CLIENT", "SETNAME", "pannier:" + config.service + ":probe"});
    ask(Question::Info, {"INFO", "server"});
  }
  // INFO last: it says the same as ROLE and more, and wins; ROLE serves where INFO is refused.
  ask(Question::Role, {"ROLE"});
  ask(Question::Info, {"INFO", "persistence"});
  ask(Question::Info, {"INFO", "replication"});
}

ProbeExchange::~ProbeExchange() = default;

void ProbeExchange::ask(Question question, const std::vector<std::string>& words) {
  request_ += "*" + std::to_string(words.size()) + "\r\n";
  for (const std::string& word : words) {
    request_ += "$" + std::to_string(word.size()) + "\r\n" + word + "\r\n";
  }
  const bool has_section = question == Question::Info;
  asked_.push_back({question, has_section ? words[0] + " " + words[1] : words[0]});
}

ProbeExchange::Progress ProbeExchange::feed(std::string_view bytes) {
  bytes_ += bytes.size();
  if (bytes_ > kMaxBytes ||
      redisReaderFeed(reader_.get(), bytes.data(), bytes.size()) != REDIS_OK) {
    error_ = "sent more than a probe can hold";
    return Progress::Failed;
  }
  while (true) {
    void* raw = nullptr;
    if (redisReaderGetReply(reader_.get(), &raw) != REDIS_OK) {
      error_ = "does not speak RESP: " + base::printable(reader_->errstr);
      return Progress::Failed;
    }
    if (raw == nullptr) {
      return asked_.empty() ? Progress::Done : Progress::More;
    }
    const std::unique_ptr<void, decltype(&freeReplyObject)> reply(raw, &freeReplyObject);
    if (asked_.empty()) {
      error_ = "answered what was not asked";
      return Progress::Failed;
    }
    if (!take(*static_cast<const redisReply*>(raw))) {
      return Progress::Failed;
    }
    asked_.pop_front();
  }
}

bool ProbeExchange::take(const redisReply& reply) {
  const Asked& asked = asked_.front();
  if (reply.type == REDIS_REPLY_ERROR) {
    return take_error(asked, text_of(reply));
  }
  if (asked.question == Question::Info && reply.type == REDIS_REPLY_STRING) {
    route::read_info(text_of(reply), answer_);
  } else if (asked.question == Question::Role && reply.type == REDIS_REPLY_ARRAY) {
    const auto fields = fields_of(reply);
    if (!route::read_role(fields, answer_)) {
      error_ = "is no server with keys: ROLE says " +
               base::printable(fields.empty() ? std::string_view("nothing") : fields.front());
      return false;
    }
  }
  return true;
}

bool ProbeExchange::take_error(const Asked& asked, std::string_view text) {
  const std::string shown = base::printable(text, 120);
  if (asked.question == Question::Auth) {
    error_ = "authentication failed: " + shown;
    return false;
  }
  const bool unwanted = text.starts_with("NOPERM") || text.starts_with("ERR unknown") ||
                        text.starts_with("ERR Client names");
  if (!unwanted) {
    error_ = "answers " + shown;
    return false;
  }
  if (asked.question != Question::SetName) {
    refused_ += (refused_.empty() ? "" : ", ") + asked.text;
  }
  return true;
}

}  // namespace pannier::upstream
