#include "pannier/proxy/reply_queue.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

using pannier::base::BlockPool;
using pannier::base::ByteQueue;
using pannier::base::SharedBytes;
using pannier::proxy::ReplyQueue;

namespace {

struct Replies {
  // What has left.
  [[nodiscard]] std::string out() const {
    std::string text;
    bytes.copy_to(text, 0, bytes.size());
    return text;
  }

  void add(std::uint32_t place, std::string_view text, bool last = true) {
    queue.add(place, text, last, bytes);
  }

  void add_shared(std::uint32_t place, const SharedBytes& text) { queue.add(place, text, bytes); }

  // Whether the bytes that left at `offset` are those of `text`, not a copy.
  [[nodiscard]] bool left_as_reference(const SharedBytes& text, std::size_t offset) const {
    std::vector<iovec> parts(1);
    return bytes.gather(parts, offset) == 1 && parts[0].iov_base == text.view().data() &&
           parts[0].iov_len == text.view().size();
  }

  BlockPool pool;
  ByteQueue bytes{pool};
  ReplyQueue queue;
};

// The replies of one session, each in a few parts, said in a random order.
class Model {
 public:
  explicit Model(unsigned seed) : random_(seed) {}

  void run() {
    for (int i = 0; i < 2000; ++i) {
      if (open_.empty() || number(3) == 0) {
        open();
      } else {
        say(number(4) == 0 ? 0 : number(open_.size()));
      }
      check();
    }
    while (!open_.empty()) {
      say(number(open_.size()));
      check();
    }
    REQUIRE(replies_.queue.pending() == 0);
    REQUIRE(replies_.queue.held_bytes() == 0);
  }

 private:
  struct Place {
    std::string said;
    bool complete = false;
  };

  std::size_t number(std::size_t below) { return random_() % below; }

  void open() {
    const std::uint32_t place = replies_.queue.open();
    REQUIRE(place == places_.size());
    places_.emplace_back();
    open_.push_back(place);
  }

  void say(std::size_t which) {
    const std::uint32_t place = open_[which];
    const bool shared = number(4) == 0;
    const bool last = shared || number(2) == 0;
    const std::size_t most = shared && number(4) == 0 ? 6000 : 100;
    const std::string text(number(4) == 0 ? 0 : number(most), static_cast<char>('a' + place % 26));
    places_[place].said += text;
    places_[place].complete = last;
    if (shared) {
      replies_.add_shared(place, SharedBytes::copy_of(text));
    } else {
      replies_.add(place, text, last);
    }
    if (last) {
      open_.erase(open_.begin() + static_cast<std::ptrdiff_t>(which));
    }
  }

  // Out is everything up to and with the first place that is not complete; the rest is held.
  void check() {
    std::string expected;
    std::size_t held = 0;
    std::uint32_t pending = 0;
    bool blocked = false;
    for (const Place& place : places_) {
      blocked ? held += place.said.size() : (expected += place.said, 0);
      blocked = blocked || !place.complete;
      pending += blocked ? 1 : 0;
    }
    REQUIRE(replies_.out() == expected);
    REQUIRE(replies_.queue.held_bytes() == held);
    REQUIRE(replies_.queue.pending() == pending);
  }

  std::minstd_rand random_;
  Replies replies_;
  std::vector<Place> places_;
  std::vector<std::uint32_t> open_;
};

}  // namespace

TEST_CASE("reply_queue: replies in order leave at once", "[proxy]") {
  Replies replies;
  const auto a = replies.queue.open();
  const auto b = replies.queue.open();
  REQUIRE(replies.queue.pending() == 2);
  REQUIRE(replies.queue.is_head(a));
  REQUIRE_FALSE(replies.queue.is_head(b));
  replies.add(a, "a");
  REQUIRE(replies.queue.is_head(b));
  replies.add(b, "b");
  REQUIRE(replies.out() == "ab");
  REQUIRE(replies.queue.pending() == 0);
}

TEST_CASE("reply_queue: a reply that comes early waits for those before it", "[proxy]") {
  Replies replies;
  const auto a = replies.queue.open();
  const auto b = replies.queue.open();
  const auto c = replies.queue.open();
  replies.add(c, "ccc");
  REQUIRE(replies.out().empty());
  REQUIRE(replies.queue.held_bytes() == 3);
  REQUIRE_FALSE(replies.queue.is_head(a));  // something is held: no short cut past it
  replies.add(a, "a");
  REQUIRE(replies.out() == "a");
  replies.add(b, "b");
  REQUIRE(replies.out() == "abccc");
  REQUIRE(replies.queue.held_bytes() == 0);
  REQUIRE(replies.queue.pending() == 0);
}

TEST_CASE("reply_queue: parts of the first reply leave at once, of others with their turn",
          "[proxy]") {
  Replies replies;
  const auto a = replies.queue.open();
  const auto b = replies.queue.open();
  replies.add(a, "a1", false);
  replies.add(b, "b1", false);
  replies.add(a, "a2", false);
  REQUIRE(replies.out() == "a1a2");
  replies.add(a, "a3");
  REQUIRE(replies.out() == "a1a2a3b1");
  replies.add(b, "b2");
  REQUIRE(replies.out() == "a1a2a3b1b2");
}

TEST_CASE("reply_queue: a silent place gets no bytes and holds nobody up", "[proxy]") {
  Replies replies;
  const auto a = replies.queue.open();
  const auto b = replies.queue.open();
  replies.add(b, "b");
  replies.add(a, "");
  REQUIRE(replies.out() == "b");
}

TEST_CASE("reply_queue: a reference at the head leaves at once, without a copy", "[proxy]") {
  Replies replies;
  const SharedBytes text = SharedBytes::copy_of(std::string(5000, 's'));
  const auto a = replies.queue.open();
  replies.add_shared(a, text);
  REQUIRE(replies.left_as_reference(text, 0));
  REQUIRE(replies.queue.pending() == 0);
  REQUIRE(replies.queue.held_bytes() == 0);
}

TEST_CASE("reply_queue: a reference that comes early is held as one", "[proxy]") {
  Replies replies;
  const SharedBytes text = SharedBytes::copy_of(std::string(5000, 's'));
  const auto a = replies.queue.open();
  const auto b = replies.queue.open();
  const auto c = replies.queue.open();
  replies.add_shared(b, text);
  replies.add(c, "c");
  REQUIRE(replies.out().empty());
  REQUIRE(replies.queue.held_bytes() == 5001);
  REQUIRE(replies.queue.pending() == 3);
  replies.add(a, "aa");
  REQUIRE(replies.out() == "aa" + std::string(text.view()) + "c");
  REQUIRE(replies.left_as_reference(text, 2));
  REQUIRE(replies.queue.held_bytes() == 0);
  REQUIRE(replies.queue.pending() == 0);
}

TEST_CASE("reply_queue: a reference can be the rest of a reply", "[proxy]") {
  Replies replies;
  const SharedBytes text = SharedBytes::copy_of(std::string(5000, 's'));
  const auto a = replies.queue.open();
  const auto b = replies.queue.open();
  replies.add(b, "b:", false);
  replies.add_shared(b, text);
  replies.add(a, "a:", false);
  REQUIRE(replies.out() == "a:");
  replies.add_shared(a, text);
  REQUIRE(replies.out() == "a:" + std::string(text.view()) + "b:" + std::string(text.view()));
}

TEST_CASE("reply_queue: random completion in parts agrees with a simple model", "[proxy]") {
  for (unsigned seed = 1; seed <= 5; ++seed) {
    CAPTURE(seed);
    Model(seed).run();
  }
}
