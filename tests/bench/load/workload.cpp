#include "workload.hpp"

#include <algorithm>
#include <initializer_list>
#include <numeric>
#include <random>
#include <stdexcept>

namespace pannier::bench {
namespace {

constexpr std::size_t kFillBytes = 32 << 10;    // about so much per batch of fill and sweep
constexpr std::size_t kRequestsMade = 131'072;  // beforehand, over all batches
constexpr std::size_t kBytesMade = 64 << 20;    // at most

constexpr std::size_t kDigits = 12;  // of a key

constexpr std::string_view kOk = "+OK\r\n";

std::size_t command_index(std::string_view name) {
  const auto* const at = std::find(kCommands.begin(), kCommands.end(), name);
  return static_cast<std::size_t>(at - kCommands.begin());
}

void append_bulk(std::string& out, std::string_view text) {
  out.append("$").append(std::to_string(text.size())).append("\r\n").append(text).append("\r\n");
}

// What tells a shifted or mixed-up piece from the right one: no period of a power of two.
std::string make_padding(std::size_t size) {
  std::string padding(size, ' ');
  for (std::size_t i = 0; i < size; ++i) {
    padding[i] = static_cast<char>('a' + (i * 7 + i / 251) % 26);
  }
  return padding;
}

Part exactly(std::string_view text) {
  return {text, 0, false, false};
}

Part integer() {
  return {{}, 0, true, false};
}

std::string array_of(std::initializer_list<std::string_view> items) {
  std::string reply = "*" + std::to_string(items.size()) + "\r\n";
  for (const std::string_view item : items) {
    append_bulk(reply, item);
  }
  return reply;
}

std::string product_reply(std::string_view key) {
  return array_of({"id", key, "name", "Garden chair", "price", "4990", "stock", "17"});
}

// Members and scores of every sorted set are the same.
constexpr std::array<std::string_view, 5> kReviews{
    "review:1", "review:2", "review:3", "review:4", "review:5"};
constexpr std::array<std::string_view, 5> kScores{"1", "2", "3", "4", "5"};

}  // namespace

Workload::Workload(const Options& options)
    : options_(options),
      padding_(make_padding(options.value)) {
  if (key(options_.prefix, 0).size() + 2 > options_.value) {
    throw std::invalid_argument("--value is too small to hold the key");
  }
  named_ = key(bulk_prefix(), 0).size() + 1;
  mget_head_ = keep("*" + std::to_string(options.mget_keys) + "\r\n");
  make_expected();
  order_.resize(options_.keys);
  std::iota(order_.begin(), order_.end(), 0U);
  std::shuffle(order_.begin(), order_.end(), std::mt19937(1));
  const std::size_t keys_each = options_.kind == Kind::Mget ? options_.mget_keys : 1;
  const std::size_t wanted =
      std::max<std::size_t>(kRequestsMade / options_.pipeline / keys_each, 512);
  std::size_t turn = 0;
  std::size_t bytes = 0;
  while (batches_.size() < wanted && (bytes < kBytesMade || batches_.empty())) {
    Batch& batch = batches_.emplace_back();
    for (std::size_t i = 0; i < options_.pipeline; ++i) {
      add_any(batch, turn++);
    }
    bytes += batch.bytes.size();
  }
}

void Workload::make_expected() {
  expected_.resize(options_.keys);
  for (std::size_t number = 0; number < options_.keys; ++number) {
    Expected& expected = expected_[number];
    const std::string name = key(bulk_prefix(), number);
    std::string head = "$" + std::to_string(options_.value) + "\r\n";
    if (!options_.any_value) {
      head += name + ":";
    }
    expected.bulk = keep(std::move(head));
    if (options_.kind == Kind::Shop) {
      expected.hash = keep(product_reply(key("product:", number)));
    }
  }
}

std::string_view Workload::keep(std::string text) {
  return heads_.emplace_back(std::move(text));
}

std::string Workload::key(std::string_view prefix, std::size_t number) const {
  std::string text(prefix.size() + kDigits, '0');
  prefix.copy(text.data(), prefix.size());
  for (std::size_t at = text.size(); number > 0; number /= 10) {
    text[--at] = static_cast<char>('0' + number % 10);
  }
  return text;
}

std::string Workload::value(std::string_view key) const {
  return std::string(key).append(":").append(padding_, 0, value_padding(key));
}

void Workload::add(Batch& batch,
                   std::size_t command,
                   const std::vector<std::string_view>& words) const {
  batch.bytes.append("*").append(std::to_string(words.size())).append("\r\n");
  for (const std::string_view word : words) {
    append_bulk(batch.bytes, word);
  }
  ++batch.commands[command];
  ++batch.requests;
}

void Workload::add_bulk(Batch& batch, std::size_t number) const {
  const std::string_view head = expected_[number].bulk;
  if (options_.any_value) {
    batch.parts.push_back({head, options_.value, false, true});
    return;
  }
  batch.parts.push_back({head, options_.value - named_, false, false});
}

void Workload::add_get(Batch& batch, std::size_t number) const {
  add(batch, command_index("get"), {"GET", key(options_.prefix, number)});
  add_bulk(batch, number);
}

void Workload::add_set(Batch& batch, std::size_t number) const {
  const std::string name = key(options_.prefix, number);
  add(batch, command_index("set"), {"SET", name, value(name)});
  batch.parts.push_back(exactly(kOk));
}

void Workload::add_mget(Batch& batch, std::size_t first) const {
  std::vector<std::string> names;
  std::vector<std::string_view> words{"MGET"};
  names.reserve(options_.mget_keys);
  batch.parts.push_back(exactly(mget_head_));
  for (std::size_t i = 0; i < options_.mget_keys; ++i) {
    const std::size_t number = order_[(first + i) % order_.size()];
    words.push_back(names.emplace_back(key(options_.prefix, number)));
    add_bulk(batch, number);
  }
  add(batch, command_index("mget"), words);
}

// `dice` is 0 to 99: six of ten read what shops read most, product pages.
void Workload::add_shop(Batch& batch, std::size_t number, unsigned dice) const {
  const std::string product = key("product:", number);
  const std::string session = key("session:", number);
  const std::string reviews = key("reviews:", number);
  if (dice < 40) {
    add(batch, command_index("hgetall"), {"HGETALL", product});
    batch.parts.push_back(exactly(expected_[number].hash));
  } else if (dice < 50) {
    static const std::string kReply = array_of({"Garden chair", "4990"});
    add(batch, command_index("hmget"), {"HMGET", product, "name", "price"});
    batch.parts.push_back(exactly(kReply));
  } else if (dice < 60) {
    add(batch, command_index("incr"), {"INCR", key("counter:", number)});
    batch.parts.push_back(integer());
  } else if (dice < 70) {
    static const std::string kReply =
        array_of({kReviews[0], kScores[0], kReviews[1], kScores[1], kReviews[2], kScores[2]});
    add(batch, command_index("zrange"), {"ZRANGE", reviews, "0", "2", "WITHSCORES"});
    batch.parts.push_back(exactly(kReply));
  } else if (dice < 75) {
    add(batch, command_index("zadd"), {"ZADD", reviews, kScores[4], kReviews[4]});
    batch.parts.push_back(exactly(":0\r\n"));
  } else if (dice < 90) {
    add(batch, command_index("get"), {"GET", session});
    add_bulk(batch, number);
  } else if (dice < 95) {
    add(batch, command_index("set"), {"SET", session, value(session), "EX", "1800"});
    batch.parts.push_back(exactly(kOk));
  } else {
    add(batch, command_index("expire"), {"EXPIRE", session, "1800"});
    batch.parts.push_back(exactly(":1\r\n"));
  }
}

void Workload::add_shop_fill(Batch& batch, std::size_t number) const {
  const std::string product = key("product:", number);
  const std::string session = key("session:", number);
  add(batch, command_index("set"), {"SET", session, value(session), "EX", "86400"});
  batch.parts.push_back(exactly(kOk));
  add(batch,
      command_index("hset"),
      {"HSET", product, "id", product, "name", "Garden chair", "price", "4990", "stock", "17"});
  batch.parts.push_back(integer());
  const std::string reviews = key("reviews:", number);
  std::vector<std::string_view> words{"ZADD", reviews};
  for (std::size_t i = 0; i < kReviews.size(); ++i) {
    words.push_back(kScores[i]);
    words.push_back(kReviews[i]);
  }
  add(batch, command_index("zadd"), words);
  batch.parts.push_back(integer());
}

void Workload::add_any(Batch& batch, std::size_t turn) {
  const std::size_t number = order_[turn % order_.size()];
  switch (options_.kind) {
    case Kind::Get:
      add_get(batch, number);
      break;
    case Kind::GetSet:
      turn % 11 == 10 ? add_set(batch, number) : add_get(batch, number);
      break;
    case Kind::Mget:
      add_mget(batch, turn * options_.mget_keys);
      break;
    case Kind::Shop:
      // 37 has no factor of 100: every hundred turns are the exact mix, well stirred, and each time
      // round the same key is asked something else.
      add_shop(batch, number, static_cast<unsigned>((turn + turn / order_.size()) * 37 % 100));
      break;
  }
}

std::vector<Batch> Workload::fill() const {
  std::vector<Batch> batches;
  for (std::size_t number = 0; number < options_.keys; ++number) {
    if (batches.empty() || batches.back().bytes.size() > kFillBytes) {
      batches.emplace_back();
    }
    options_.kind == Kind::Shop ? add_shop_fill(batches.back(), number)
                                : add_set(batches.back(), number);
  }
  return batches;
}

std::vector<Batch> Workload::sweep() const {
  std::vector<Batch> batches;
  std::size_t reply_bytes = kFillBytes;
  for (std::size_t number = 0; number < options_.keys; ++number) {
    if (reply_bytes >= kFillBytes) {
      batches.emplace_back();
      reply_bytes = 0;
    }
    reply_bytes += options_.value;
    if (options_.kind == Kind::Shop) {
      add_shop(batches.back(), number, 0);
    } else {
      add_get(batches.back(), number);
    }
  }
  return batches;
}

}  // namespace pannier::bench
