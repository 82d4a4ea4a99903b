#include "pannier/base/byte_queue.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <random>
#include <string>
#include <vector>

using pannier::base::BlockPool;
using pannier::base::ByteQueue;
using pannier::base::SharedBytes;

namespace {

std::string all_of(const ByteQueue& queue, std::size_t offset = 0) {
  std::vector<iovec> parts(3 + queue.size() / 1000);
  parts.resize(queue.gather(parts, offset));
  std::string out;
  for (const iovec& part : parts) {
    REQUIRE(part.iov_len > 0);
    out.append(static_cast<const char*>(part.iov_base), part.iov_len);
  }
  return out;
}

constexpr std::size_t kBlock = BlockPool::Block::capacity();
constexpr std::size_t kReference = sizeof(BlockPool::Reference);
constexpr std::size_t kLarge = 5000;  // a reference of this size is kept, not copied

// Bytes whose owners can be counted: the test is one of them.
struct Counted {
  explicit Counted(const std::string& text)
      : block(new (std::malloc(sizeof(pannier::base::SharedBlock) + text.size()))
                  pannier::base::SharedBlock) {
    char* data = reinterpret_cast<char*>(block + 1);
    text.copy(data, text.size());
    bytes = {data, text.size()};
  }

  ~Counted() { SharedBytes::release(*block); }

  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;

  [[nodiscard]] SharedBytes share() const { return {*block, bytes}; }

  [[nodiscard]] std::uint32_t others() const { return block->references - 1; }

  pannier::base::SharedBlock* block;
  std::string_view bytes;
};

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

TEST_CASE("byte_queue: a reference takes its place without a copy", "[base]") {
  BlockPool pool;
  ByteQueue queue(pool);
  const Counted shared(std::string(kLarge, 's'));
  queue.append("head");
  queue.append(shared.share());
  queue.append("tail");
  REQUIRE(queue.size() == kLarge + 8);
  REQUIRE(pool.used_bytes() == 2 * BlockPool::kBlockSize + kReference + kLarge / 2);
  std::array<iovec, 4> parts{};
  REQUIRE(queue.gather(parts) == 3);
  REQUIRE(parts[1].iov_base == shared.bytes.data());
  REQUIRE(parts[1].iov_len == kLarge);
  REQUIRE(queue.gather(parts, 14) == 2);
  REQUIRE(parts[0].iov_base == shared.bytes.data() + 10);
  REQUIRE(all_of(queue) == "head" + std::string(shared.bytes) + "tail");
}

TEST_CASE("byte_queue: a reference is let go with its last byte", "[base]") {
  BlockPool pool;
  ByteQueue queue(pool);
  const Counted shared(std::string(kLarge, 's'));
  queue.append(shared.share());
  queue.append(shared.share());
  REQUIRE(shared.others() == 2);
  queue.discard(kLarge - 1);
  REQUIRE(shared.others() == 2);
  REQUIRE(all_of(queue) == "s" + std::string(shared.bytes));
  queue.discard(2);
  REQUIRE(shared.others() == 1);
  REQUIRE(pool.used_bytes() == kReference + kLarge / 3);
  std::array<iovec, 2> parts{};
  REQUIRE(queue.gather(parts) == 1);
  REQUIRE(parts[0].iov_base == shared.bytes.data() + 1);
  queue.discard(kLarge - 1);
  REQUIRE(queue.empty());
  REQUIRE(shared.others() == 0);
  REQUIRE(pool.used_bytes() == 0);
}

TEST_CASE("byte_queue: few shared bytes are copied", "[base]") {
  BlockPool pool;
  ByteQueue queue(pool);
  const Counted shared("shared");
  queue.append("head ");
  queue.append(shared.share());
  queue.append(SharedBytes());
  REQUIRE(shared.others() == 0);
  REQUIRE(pool.used_bytes() == BlockPool::kBlockSize);
  REQUIRE(all_of(queue) == "head shared");
}

TEST_CASE("byte_queue: nothing is appended to a reference, not even nothing", "[base]") {
  BlockPool pool;
  ByteQueue queue(pool);
  queue.append(SharedBytes::copy_of(std::string(kLarge, 's')));
  queue.append("");
  REQUIRE(pool.used_bytes() == kReference + kLarge);
  queue.append("x");
  REQUIRE(all_of(queue) == std::string(kLarge, 's') + "x");
}

TEST_CASE("byte_queue: a queue that dies lets its references go, the pool forgets them", "[base]") {
  const Counted shared(std::string(kLarge, 's'));
  BlockPool pool;
  {
    ByteQueue queue(pool);
    for (int i = 0; i < 200; ++i) {  // more than the pool keeps
      queue.append(shared.share());
    }
    REQUIRE(shared.others() == 200);
    std::size_t shares = 0;
    for (std::size_t owners = 2; owners <= 201; ++owners) {
      shares += kLarge / owners;
    }
    REQUIRE(pool.used_bytes() == 200 * kReference + shares);
  }
  REQUIRE(shared.others() == 0);
  REQUIRE(pool.used_bytes() == 0);
  pool.trim();
  ByteQueue queue(pool);
  queue.append(shared.share());
  REQUIRE(all_of(queue) == shared.bytes);
}

TEST_CASE("byte_queue: shared bytes outlive their maker in the queue", "[base]") {
  BlockPool pool;
  ByteQueue queue(pool);
  {
    const Counted shared(std::string(kLarge, 's'));
    queue.append(shared.share());
  }
  queue.discard(1);
  REQUIRE(all_of(queue) == std::string(kLarge - 1, 's'));
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
      std::string piece(number(number(8) == 0 ? 40000 : 300), static_cast<char>('a' + number(26)));
      if (number(2) == 0) {
        queue.append(SharedBytes::copy_of(piece));
      } else {
        queue.append(piece);
      }
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
