#include "pannier/base/byte_queue.hpp"
#include "pannier/command/command.hpp"
#include "pannier/limit/gcra.hpp"
#include "pannier/policy/key_matcher.hpp"
#include "pannier/proxy/reply_queue.hpp"
#include "pannier/resp/reply_scanner.hpp"
#include "pannier/resp/request_batch.hpp"
#include "pannier/resp/request_parser.hpp"
#include "pannier/upstream/pipeline.hpp"

#include <benchmark/benchmark.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// What a pass-through request meets on its way, each part alone and without a socket. Batches are
// of sixteen GETs and replies of 100 bytes; times are per batch, items per second are requests. The
// near cache is in near_cache_bench.cpp, the whole policy stage in policy_bench.cpp.
namespace pannier {
namespace {

constexpr std::size_t kBatch = 16;
constexpr std::size_t kMaxKeys = 4;

std::vector<std::string> make_keys() {
  std::vector<std::string> keys;
  for (std::size_t i = 0; i < kBatch; ++i) {
    keys.push_back("cart:00000000" + std::to_string(1000 + 37 * i));
  }
  return keys;
}

std::string request(std::string_view key) {
  std::string bytes;
  resp::append_request(bytes, std::array<std::string_view, 2>{"GET", key});
  return bytes;
}

std::string requests() {
  std::string bytes;
  for (const std::string& key : make_keys()) {
    bytes += request(key);
  }
  return bytes;
}

std::string replies(std::size_t value_size) {
  std::string bytes;
  for (std::size_t i = 0; i < kBatch; ++i) {
    bytes += "$" + std::to_string(value_size) + "\r\n" + std::string(value_size, 'v') + "\r\n";
  }
  return bytes;
}

void count_requests(benchmark::State& state) {
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kBatch));
}

void parser(benchmark::State& state) {
  const resp::Limits limits;
  resp::RequestParser parser(limits);
  resp::RequestBatch batch;
  const std::string input = requests();
  for (auto _ : state) {
    benchmark::DoNotOptimize(resp::parse_batch(parser, input, batch));
    if (batch.size() != kBatch) {
      state.SkipWithError("not all requests were found");
      break;
    }
  }
  count_requests(state);
}

void scanner(benchmark::State& state) {
  resp::ReplyScanner scanner;
  const std::string input = replies(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) {
    std::string_view left = input;
    while (!left.empty() && scanner.scan(left) == resp::ReplyScanner::Status::Complete) {
      left.remove_prefix(scanner.consumed());
    }
    if (!left.empty()) {
      state.SkipWithError("not all replies were found");
      break;
    }
  }
  count_requests(state);
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(input.size()));
}

// From a request's words to its row and its keys.
void key_extraction(benchmark::State& state, const std::vector<std::string_view>& words) {
  std::vector<std::string_view> keys;
  keys.reserve(kMaxKeys);
  for (auto _ : state) {
    keys.clear();
    const command::CommandSpec* row = command::find(words);
    benchmark::DoNotOptimize(command::extract_keys(*row, words, keys));
    benchmark::DoNotOptimize(keys.data());
  }
  state.SetItemsProcessed(state.iterations());
}

void class_match(benchmark::State& state) {
  policy::KeyMatcher matcher;
  const auto classes = static_cast<std::size_t>(state.range(0));
  for (std::size_t i = 0; i < classes; ++i) {
    const std::string name = "data" + std::to_string(i);
    matcher.add(name + ":*", static_cast<policy::ClassId>(i));
    matcher.add("v?:" + name + ":*", static_cast<policy::ClassId>(i));
  }
  matcher.compile();
  const std::string key = "data" + std::to_string(classes - 1) + ":000000012345";
  for (auto _ : state) {
    const policy::ClassId found = matcher.match(key);
    if (found + 1U != classes) {
      state.SkipWithError("another class was found");
      break;
    }
  }
  state.SetItemsProcessed(state.iterations());
}

void gcra(benchmark::State& state) {
  const limit::Rate rate = *limit::Rate::make(20, 1'000'000, 1);
  std::optional<std::int64_t> kept;
  std::int64_t now = 1'000'000;
  for (auto _ : state) {
    const limit::Verdict verdict = limit::take(rate, kept, now++, 1);
    if (verdict.keep) {
      kept = verdict.keep;
    }
    benchmark::DoNotOptimize(verdict.limited);
  }
  state.SetItemsProcessed(state.iterations());
}

// Gives replies to a session's queue, as the proxy does.
class Session final : public upstream::ReplySink {
 public:
  Session(upstream::SlotSlab& slots, base::BlockPool& blocks) : slots_(slots), out_(blocks) {}

  std::uint32_t open() { return places_.open(); }

  void on_reply(upstream::SlotIndex index, std::string_view bytes, char, bool last) override {
    places_.add(slots_[index].place, bytes, last, out_);
  }

  void on_push(std::string_view) override {}

  std::size_t write_all() {
    const std::size_t written = out_.size();
    out_.discard(written);
    return written;
  }

 private:
  upstream::SlotSlab& slots_;
  proxy::ReplyQueue places_;
  base::ByteQueue out_;
};

// A batch into a lane, out of it as if sent, its replies in, and out to the session.
void lane_round_trip(benchmark::State& state) {
  upstream::SlotSlab slots;
  base::BlockPool blocks;
  upstream::Pipeline pipeline(slots, blocks);
  Session session(slots, blocks);
  std::vector<std::string> frames;
  for (const std::string& key : make_keys()) {
    frames.push_back(request(key));
  }
  const std::string input = replies(100);
  std::array<iovec, 16> parts{};
  for (auto _ : state) {
    for (const std::string& frame : frames) {
      const upstream::SlotIndex index = slots.take();
      slots[index] = upstream::Slot();
      slots[index].place = session.open();
      pipeline.push(index, frame);
    }
    benchmark::DoNotOptimize(pipeline.gather(parts));
    pipeline.sent(pipeline.unsent());
    if (!pipeline.feed(input, session) || session.write_all() != input.size()) {
      state.SkipWithError("the replies did not come through");
      break;
    }
  }
  count_requests(state);
}

BENCHMARK(parser);
BENCHMARK(scanner)->Arg(100)->Arg(16 << 10);
BENCHMARK_CAPTURE(key_extraction, get, {"GET", "cart:000000012345"});
BENCHMARK_CAPTURE(key_extraction,
                  mget_of_four,
                  {"MGET", "cart:000000000001", "cart:000000000002", "cart:3", "cart:4"});
BENCHMARK(class_match)->Arg(10)->Arg(50)->Arg(200);
BENCHMARK(gcra);
BENCHMARK(lane_round_trip);

}  // namespace
}  // namespace pannier

BENCHMARK_MAIN();
