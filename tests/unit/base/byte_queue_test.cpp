#include "pannier/base/byte_queue.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <random>
#include <string>
#include <vector>

using pannier::base::BlockPool;
using pannier::base::ByteQueue;

namespace {

std::string all_of(const ByteQueue& queue, std::size_t offset = 0) {
  std::vector<iovec> parts(1 + queue.size() / 1000);
  parts.resize(queue.gather(parts, offset));
  std::string out;
  for (const iovec& part : parts) {
    REQUIRE(part.iov_len > 0);
    out.append(static_cast<const char*>(part.iov_base), part.iov_len);
  }
  return out;
}

constexpr std::size_t kBlock = BlockPool::Block::capacity();

}  // namespace

TEST_CASE("byte_queue: empty it owns nothing and gathers nothing", "[base]") {
  BlockPool pool;
  ByteQueue queue(pool);
  queue.append("");
  queue.discard(0);
  REQUIRE(queue.empty());
  REQUIRE(pool.used_bytes() == 0);
  std::array<iovec, 2> parts{};
  REQUIRE(queue.gather(parts) == 0);
}

TEST_CASE("byte_queue: bytes come out in the order they went in, over block ends", "[base]") {
  BlockPool pool;
  ByteQueue queue(pool);
  std::string expected;
  for (const std::size_t size :
       {std::size_t{1}, kBlock - 1, std::size_t{1}, 3 * kBlock, kBlock + 7}) {
    const std::string piece(size, static_cast<char>('a' + expected.size() % 26));
    queue.append(piece);
    expected += piece;
  }
  REQUIRE(queue.size() == expected.size());
  REQUIRE(all_of(queue) == expected);
  REQUIRE(all_of(queue, kBlock) == expected.substr(kBlock));
  REQUIRE(all_of(queue, expected.size()).empty());
}

TEST_CASE("byte_queue: a short vector is filled from the front", "[base]") {
  BlockPool pool;
  ByteQueue queue(pool);
  queue.append(std::string(4 * kBlock, 'x'));
  std::array<iovec, 2> parts{};
  REQUIRE(queue.gather(parts) == 2);
  REQUIRE(parts[0].iov_len + parts[1].iov_len == 2 * kBlock);
  REQUIRE(queue.gather(parts, kBlock + 10) == 2);
  REQUIRE(parts[0].iov_len == kBlock - 10);
}

TEST_CASE("byte_queue: blocks go back when their bytes are discarded", "[base]") {
  BlockPool pool;
  ByteQueue queue(pool);
  queue.append(std::string(2 * kBlock, 'x') + "tail");
  REQUIRE(pool.used_bytes() == 3 * BlockPool::kBlockSize);
  queue.discard(kBlock - 1);
  REQUIRE(pool.used_bytes() == 3 * BlockPool::kBlockSize);
  queue.discard(1);
  REQUIRE(pool.used_bytes() == 2 * BlockPool::kBlockSize);
  queue.discard(kBlock);
  REQUIRE(all_of(queue) == "tail");
  queue.discard(4);
  REQUIRE(pool.used_bytes() == 0);
  queue.append("again");
  REQUIRE(all_of(queue) == "again");
  queue.clear();
  REQUIRE(queue.empty());
}

TEST_CASE("byte_queue: a queue that dies gives its blocks back, trim frees them", "[base]") {
  BlockPool pool;
  {
    ByteQueue queue(pool);
    queue.append(std::string(200 * kBlock, 'x'));  // more than the pool keeps
  }
  REQUIRE(pool.used_bytes() == 0);
  pool.trim();
  BlockPool::Block* block = pool.take();
  REQUIRE((block->begin == 0 && block->end == 0 && block->next == nullptr));
  pool.give(block);
}

TEST_CASE("byte_queue: random use agrees with a string", "[base]") {
  std::minstd_rand random(7);
  const auto number = [&](std::size_t below) {
    return random() % below;
  };
  BlockPool pool;
  ByteQueue queue(pool);
  std::string model;
  for (int i = 0; i < 5000; ++i) {
    if (number(2) == 0) {
      const std::string piece(number(number(8) == 0 ? 40000 : 300),
                              static_cast<char>('a' + number(26)));
      queue.append(piece);
      model += piece;
    } else {
      const std::size_t n = number(4) == 0 ? model.size() : number(model.size() + 1);
      queue.discard(n);
      model.erase(0, n);
    }
    REQUIRE(queue.size() == model.size());
    const std::size_t offset = number(model.size() + 1);
    const std::size_t length = number(model.size() - offset + 1);
    std::string copied = "+";
    queue.copy_to(copied, offset, length);
    REQUIRE(copied == "+" + model.substr(offset, length));
    if (i % 20 == 0) {
      REQUIRE(all_of(queue, offset) == model.substr(offset));
    }
  }
}
