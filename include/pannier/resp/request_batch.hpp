#pragma once

#include "pannier/resp/request_parser.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace pannier::resp {

// Up to 64 complete requests of one session's input, as views. Owned by a worker and shared by its
// sessions: it keeps its memory from batch to batch, so that parsing allocates nothing. What it
// returns is valid until the input moves or the batch is cleared or filled again.
class RequestBatch {
 public:
  static constexpr std::size_t kCapacity = 64;

  RequestBatch() { arguments_.reserve(4 * kCapacity); }

  [[nodiscard]] std::size_t size() const { return size_; }

  [[nodiscard]] bool empty() const { return size_ == 0; }

  [[nodiscard]] bool full() const { return size_ == kCapacity; }

  [[nodiscard]] Request operator[](std::size_t i) const {
    const Entry& entry = entries_[i];
    return {std::span(arguments_).subspan(entry.first, entry.count), entry.frame, entry.is_inline};
  }

  // Bytes of the input up to and including request i.
  [[nodiscard]] std::size_t end_offset(std::size_t i) const { return entries_[i].end; }

  // Bytes of the input that are done with: complete requests and empty ones. What follows is half a
  // request, or the one that is Large or broken.
  [[nodiscard]] std::size_t consumed() const { return consumed_; }

  void clear();

 private:
  friend class RequestParser;
  friend RequestParser::Status parse_batch(RequestParser& parser,
                                           std::string_view input,
                                           RequestBatch& batch);

  struct Entry {
    std::string_view frame;
    std::size_t end = 0;
    std::uint32_t first = 0;
    std::uint32_t count = 0;
    bool is_inline = false;
  };

  // The arguments are those from `first` on.
  void add(std::string_view frame, std::size_t first, bool is_inline) {
    Entry& entry = entries_[size_++];
    entry.frame = frame;
    consumed_ += frame.size();
    entry.end = consumed_;
    entry.first = static_cast<std::uint32_t>(first);
    entry.count = static_cast<std::uint32_t>(arguments_.size() - first);
    entry.is_inline = is_inline;
  }

  std::vector<std::string_view> arguments_;     // of all requests
  std::vector<std::unique_ptr<char[]>> texts_;  // inline arguments that had quotes
  std::array<Entry, kCapacity> entries_{};
  std::size_t size_ = 0;
  std::size_t consumed_ = 0;
};

// Clears the batch and parses into it. The input is as for RequestParser::parse, and so is the
// parser's state between calls: the caller drops `batch.consumed()` bytes before the next call.
// NeedMore: the input is used up, but for half a request; Complete: the batch is full. Large and
// Error are about what starts at `batch.consumed()`; requests before it are in the batch, and
// `parser.head()` is valid as long as the batch. Empty requests are skipped.
[[nodiscard]] RequestParser::Status parse_batch(RequestParser& parser,
                                                std::string_view input,
                                                RequestBatch& batch);

}  // namespace pannier::resp
