#pragma once

#include "options.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

namespace pannier::bench {

/// A piece of a reply: `head`, then so many bytes of the padding, then CRLF when there is padding.
/// An integer is any ":<digits>\r\n"; `head` is then empty. With `free` only the length counts.
struct Part {
  std::string_view head;
  std::size_t padding = 0;
  bool integer = false;
  bool free = false;

  std::size_t size() const { return head.size() + padding + (padding == 0 ? 0 : 2); }
};

/// The commands that a workload sends, by the names that Redis counts them under.
inline constexpr std::array<std::string_view, 10> kCommands{
    "get", "set", "mget", "hgetall", "hmget", "incr", "zrange", "zadd", "expire", "hset"};

using CommandCounts = std::array<std::uint64_t, kCommands.size()>;

/// Requests that are sent together, and what must be answered.
struct Batch {
  std::string bytes;
  std::vector<Part> parts;
  CommandCounts commands{};
  std::size_t requests = 0;
};

/// All batches of a run, made beforehand so that sending costs nothing, over keys in random order
/// that is the same in every run. A value begins with its key; padding differs from place to place.
/// Owns what its batches point to; does not move.
class Workload {
 public:
  explicit Workload(const Options& options);
  Workload(const Workload&) = delete;
  Workload& operator=(const Workload&) = delete;

  const std::vector<Batch>& batches() const { return batches_; }

  /// Requests that store every key of the workload, and that read each once.
  std::vector<Batch> fill() const;
  std::vector<Batch> sweep() const;

  std::string_view padding() const { return padding_; }

 private:
  struct Expected {  // per key, where it lies in `heads_`
    std::string_view bulk;
    std::string_view hash;
  };

  void make_expected();

  std::string_view bulk_prefix() const {
    return options_.kind == Kind::Shop ? std::string_view("session:") : options_.prefix;
  }

  std::string_view keep(std::string text);

  std::size_t value_padding(std::string_view key) const { return options_.value - key.size() - 1; }

  std::string key(std::string_view prefix, std::size_t number) const;
  std::string value(std::string_view key) const;

  void add(Batch& batch, std::size_t command, const std::vector<std::string_view>& words) const;
  void add_bulk(Batch& batch, std::size_t number) const;
  void add_get(Batch& batch, std::size_t number) const;
  void add_set(Batch& batch, std::size_t number) const;
  void add_mget(Batch& batch, std::size_t first) const;
  void add_shop(Batch& batch, std::size_t number, unsigned dice) const;
  void add_shop_fill(Batch& batch, std::size_t number) const;
  void add_any(Batch& batch, std::size_t turn);

  Options options_;
  std::string padding_;
  std::deque<std::string> heads_;  // never moves what it holds
  std::string_view mget_head_;
  std::size_t named_ = 0;  // bytes of a value that name its key
  std::vector<Expected> expected_;
  std::vector<std::uint32_t> order_;
  std::vector<Batch> batches_;
};

}  // namespace pannier::bench
