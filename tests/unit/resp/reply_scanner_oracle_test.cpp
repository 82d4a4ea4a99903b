#include "pannier/resp/reply_scanner.hpp"
#include "pannier/resp/reply_writer.hpp"

#include <catch2/catch.hpp>
#include <hiredis/hiredis.h>

#include <memory>
#include <random>
#include <string>

// hiredis reads the same bytes: both must see replies end at the same places.
namespace {

using pannier::resp::ReplyScanner;

class RandomReplies {
 public:
  explicit RandomReplies(unsigned seed) : random_(seed) {}

  void append(std::string& out, int depth) {
    using namespace pannier::resp;
    switch (below(depth == 0 ? 6 : 8)) {
      case 0:
        append_simple(out, text());
        return;
      case 1:
        append_error(out, text());
        return;
      case 2:
        append_integer(out, static_cast<std::int64_t>(random_()) - 1000000);
        return;
      case 3:
        append_null(out, Version::Resp2);
        return;
      case 4:
        append_null_array(out, Version::Resp2);
        return;
      case 5:
        append_bulk(out, bytes());
        return;
      default:
        const std::size_t count = below(5);
        append_array_header(out, count);
        for (std::size_t i = 0; i < count; ++i) {
          append(out, depth - 1);
        }
    }
  }

  std::size_t below(std::size_t limit) { return random_() % limit; }

 private:
  std::string text() {
    std::string out(below(30), ' ');
    for (char& c : out) {
      c = static_cast<char>('!' + below(90));
    }
    return out;
  }

  std::string bytes() {
    std::string out(below(8) == 0 ? below(5000) : below(20), ' ');
    for (char& c : out) {
      c = below(4) == 0 ? (below(2) == 0 ? '\r' : '\n') : static_cast<char>(random_());
    }
    return out;
  }

  std::mt19937 random_;
};

struct FreeReader {
  void operator()(redisReader* reader) const { redisReaderFree(reader); }
};

// The reader takes "\r\n" between its calls of its own accord; it is asked after every frame.
bool has_reply(redisReader* reader) {
  void* reply = nullptr;
  REQUIRE(redisReaderGetReply(reader, &reply) == REDIS_OK);
  if (reply == nullptr) {
    return false;
  }
  freeReplyObject(reply);
  return true;
}

}  // namespace

TEST_CASE("reply_scanner: replies end where hiredis says, in random pieces", "[resp]") {
  RandomReplies random(20);
  for (int round = 0; round < 300; ++round) {
    std::string stream;
    const std::size_t count = 1 + random.below(10);
    for (std::size_t i = 0; i < count; ++i) {
      random.append(stream, 5);
    }
    const std::unique_ptr<redisReader, FreeReader> reader(redisReaderCreate());
    ReplyScanner scanner;
    std::size_t frames = 0;
    std::size_t frame_begin = 0;
    for (std::size_t at = 0; at < stream.size();) {
      const auto piece = std::string_view(stream).substr(at, 1 + random.below(200));
      const auto status = scanner.scan(piece);
      REQUIRE(status != ReplyScanner::Status::Error);
      at += scanner.consumed();
      if (status == ReplyScanner::Status::NeedMore) {
        continue;
      }
      const auto frame = std::string_view(stream).substr(frame_begin, at - frame_begin);
      REQUIRE(redisReaderFeed(reader.get(), frame.data(), frame.size() - 1) == REDIS_OK);
      REQUIRE_FALSE(has_reply(reader.get()));
      REQUIRE(redisReaderFeed(reader.get(), frame.data() + frame.size() - 1, 1) == REDIS_OK);
      REQUIRE(has_reply(reader.get()));
      REQUIRE(scanner.type() == frame[0]);
      frame_begin = at;
      ++frames;
    }
    REQUIRE(frames == count);
    REQUIRE(frame_begin == stream.size());
  }
}

TEST_CASE("reply_scanner: every cut of random replies gives the same frames", "[resp]") {
  RandomReplies random(21);
  for (int round = 0; round < 20; ++round) {
    std::string frame;
    random.append(frame, 5);
    for (std::size_t cut = 0; cut < frame.size(); ++cut) {
      ReplyScanner scanner;
      const std::string_view all = frame;
      REQUIRE(scanner.scan(all.substr(0, cut)) == ReplyScanner::Status::NeedMore);
      REQUIRE(scanner.consumed() == cut);
      REQUIRE(scanner.scan(all.substr(cut)) == ReplyScanner::Status::Complete);
      REQUIRE(scanner.consumed() == frame.size() - cut);
    }
  }
}
