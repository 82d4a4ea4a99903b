#include "pannier/base/shared_bytes.hpp"

#include <catch2/catch.hpp>

#include <new>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using pannier::base::SharedBlock;
using pannier::base::SharedBytes;

namespace {

// A block with a text behind its head, as an entry of a cache has one.
SharedBlock* block_with(std::string_view text) {
  void* memory = std::malloc(sizeof(SharedBlock) + text.size());
  REQUIRE(memory != nullptr);
  text.copy(static_cast<char*>(memory) + sizeof(SharedBlock), text.size());
  return new (memory) SharedBlock;
}

std::string_view text_of(SharedBlock& block, std::size_t size) {
  return {reinterpret_cast<const char*>(&block) + sizeof(SharedBlock), size};
}

}  // namespace

TEST_CASE("shared_bytes: a default one is empty and can be copied and moved", "[base]") {
  SharedBytes none;
  SharedBytes copy = none;
  SharedBytes moved = std::move(none);
  REQUIRE((copy.empty() && moved.empty()));
  copy = moved;
  REQUIRE(copy.view().empty());
}

TEST_CASE("shared_bytes: a copy of a text is its own, also of an empty one", "[base]") {
  std::string text = "text";
  const SharedBytes bytes = SharedBytes::copy_of(text);
  text = "gone";
  REQUIRE(bytes.view() == "text");
  REQUIRE(SharedBytes::copy_of("").empty());
}

TEST_CASE("shared_bytes: each copy counts, a moved one does not", "[base]") {
  SharedBlock* block = block_with("0123456789");
  {
    const SharedBytes all(*block, text_of(*block, 10));
    REQUIRE(block->references == 2);
    SharedBytes copy = all;
    REQUIRE(block->references == 3);
    const SharedBytes moved = std::move(copy);
    REQUIRE(block->references == 3);
    copy = moved;
    REQUIRE(block->references == 4);
    const SharedBytes& itself = copy;
    copy = itself;
    REQUIRE(block->references == 4);
    REQUIRE(copy.view() == "0123456789");
    copy = {};
    REQUIRE(block->references == 3);
  }
  REQUIRE(block->references == 1);
  SharedBytes::release(*block);
}

TEST_CASE("shared_bytes: bytes outlive whoever made the block", "[base]") {
  SharedBlock* block = block_with("0123456789");
  const SharedBytes part(*block, text_of(*block, 10).substr(3, 4));
  SharedBytes::release(*block);
  REQUIRE(part.view() == "3456");
}

TEST_CASE("shared_bytes: the last owner may be on any thread", "[base]") {
  const std::string text(10000, 'x');
  SharedBytes bytes = SharedBytes::copy_of(text);
  std::vector<std::string> seen(4);
  std::vector<std::thread> threads;
  for (std::string& mine : seen) {
    threads.emplace_back([&mine, copy = bytes]() mutable {
      for (int i = 0; i < 1000; ++i) {
        const SharedBytes another = copy;
      }
      mine = copy.view();
      copy = {};
    });
  }
  bytes = {};
  for (std::thread& thread : threads) {
    thread.join();
  }
  REQUIRE(seen == std::vector(4, text));
}
