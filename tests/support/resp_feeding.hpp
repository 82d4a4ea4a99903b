#pragma once

#include "pannier/resp/reply_scanner.hpp"
#include "pannier/resp/request_batch.hpp"
#include "pannier/resp/request_parser.hpp"

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

// Feeds bytes to the RESP parsers as a session or a lane does, and writes down what came out, so
// that two ways of cutting the same bytes can be compared. For unit tests and fuzz targets.
namespace pannier::test {

// Memory of its own for every call: it moves each time, and a sanitizer sees every byte too far.
class Moved {
 public:
  explicit Moved(std::string_view bytes)
      : bytes_(std::make_unique<char[]>(bytes.size())),
        size_(bytes.size()) {
    bytes.copy(bytes_.get(), size_);
  }

  [[nodiscard]] std::string_view view() const { return {bytes_.get(), size_}; }

 private:
  std::unique_ptr<char[]> bytes_;
  std::size_t size_;
};

inline void require(bool holds) {
  if (!holds) {
    std::abort();
  }
}

inline std::string shown(std::span<const std::string_view> arguments) {
  std::string out;
  for (const std::string_view argument : arguments) {
    out += '[';
    out += argument;
    out += ']';
  }
  return out;
}

class RequestFeed {
 public:
  enum class By {
    Parse,
    Batch
  };

  RequestFeed(const resp::Limits& limits, By by) : parser_(limits), by_(by) {}

  void feed(std::string_view bytes) {
    pending_ += bytes;
    while (!failed_ && step()) {
    }
  }

  // "array|inline [argument]... <frame", "empty <bytes" (only By::Parse), "large n [argument]...",
  // "streamed <frame", "error text".
  [[nodiscard]] const std::vector<std::string>& events() const { return events_; }

  [[nodiscard]] const std::string& pending() const { return pending_; }

 private:
  using Status = resp::RequestParser::Status;

  // False: needs more.
  bool step() {
    const Moved input(pending_);
    if (streaming_) {
      return step_stream(input.view());
    }
    if (by_ == By::Parse) {
      return step_parse(input.view());
    }
    const Status status = parse_batch(parser_, input.view(), batch_);
    require(batch_.consumed() <= pending_.size() && batch_.size() <= resp::RequestBatch::kCapacity);
    std::size_t end = 0;
    for (std::size_t i = 0; i < batch_.size(); ++i) {
      add(batch_[i]);
      require(batch_.end_offset(i) >= end + batch_[i].frame.size());
      end = batch_.end_offset(i);
      require(input.view().substr(0, end).ends_with(batch_[i].frame));
    }
    require(end <= batch_.consumed());
    pending_.erase(0, batch_.consumed());
    require(status == Status::Complete ? batch_.full() : status != Status::Empty);
    return step_end(status);
  }

  bool step_parse(std::string_view input) {
    const Status status = parser_.parse(input);
    if (status == Status::Complete || status == Status::Empty) {
      require(parser_.consumed() <= input.size() && parser_.consumed() != 0);
      if (status == Status::Complete) {
        require(parser_.request().frame == input.substr(0, parser_.consumed()));
        add(parser_.request());
      }
      pending_.erase(0, parser_.consumed());
    }
    return step_end(status);
  }

  bool step_end(Status status) {
    if (status == Status::Error) {
      fail();
    }
    if (status == Status::Large) {
      events_.push_back("large " + std::to_string(parser_.announced_arguments()) + " " +
                        shown(parser_.head()));
      streaming_ = true;
      frame_.clear();
    }
    return status != Status::NeedMore && status != Status::Error;
  }

  bool step_stream(std::string_view input) {
    const Status status = parser_.stream(input);
    require(parser_.consumed() <= input.size());
    frame_ += input.substr(0, parser_.consumed());
    pending_.erase(0, parser_.consumed());
    if (status == Status::Complete) {
      events_.push_back("streamed <" + frame_);
      streaming_ = false;
      return true;
    }
    require(status == Status::Error || pending_.empty());
    if (status == Status::Error) {
      fail();
    }
    return false;
  }

  void add(const resp::Request& request) {
    require(!request.arguments.empty());
    events_.push_back((request.is_inline ? "inline " : "array ") + shown(request.arguments) + " <" +
                      std::string(request.frame));
  }

  void fail() {
    failed_ = true;
    events_.push_back("error " + std::string(parser_.error()));
  }

  resp::RequestParser parser_;
  resp::RequestBatch batch_;
  By by_;
  std::string pending_;
  std::string frame_;
  std::vector<std::string> events_;
  bool streaming_ = false;
  bool failed_ = false;
};

class ReplyFeed {
 public:
  void feed(std::string_view bytes) {
    while (!bytes.empty() && !failed_) {
      const Moved input(bytes);
      const auto status = scanner_.scan(input.view());
      require(scanner_.consumed() <= bytes.size());
      frame_ += bytes.substr(0, scanner_.consumed());
      bytes.remove_prefix(scanner_.consumed());
      if (status == resp::ReplyScanner::Status::Complete) {
        require(!scanner_.in_frame() && scanner_.type() != 0);
        events_.push_back(std::string(1, scanner_.type()) + " <" + frame_);
        frame_.clear();
      } else if (status == resp::ReplyScanner::Status::Error) {
        failed_ = true;
        events_.push_back("error " + std::string(scanner_.error()) + " <" + frame_);
      } else {
        require(bytes.empty() && scanner_.in_frame());
      }
    }
  }

  // "<type> <frame", "error text <frame so far".
  [[nodiscard]] const std::vector<std::string>& events() const { return events_; }

  [[nodiscard]] const resp::ReplyScanner& scanner() const { return scanner_; }

 private:
  resp::ReplyScanner scanner_;
  std::string frame_;
  std::vector<std::string> events_;
  bool failed_ = false;
};

}  // namespace pannier::test
