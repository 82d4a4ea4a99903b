#include "pannier/upstream/pipeline.hpp"

#include "pipeline_fixture.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <deque>
#include <random>
#include <string>
#include <string_view>

using pannier::test::bulk;
using pannier::test::Line;
using pannier::upstream::Fate;
using pannier::upstream::Pipeline;
using pannier::upstream::Slot;
using pannier::upstream::SlotIndex;

namespace {

// A pipeline beside the simplest thing that could be right: the requests and replies as strings.
class Model final : public pannier::upstream::ReplySink {
 public:
  explicit Model(unsigned seed) : random_(seed) {}

  void run(int steps) {
    for (int i = 0; i < steps; ++i) {
      step();
      check_line();
    }
    while (!in_flight_.empty()) {
      write();
      feed();
    }
    REQUIRE(line_.pipeline.empty());
    REQUIRE(line_.slots.in_use() == 0);
    REQUIRE(line_.blocks.used_bytes() == 0);
    REQUIRE(pushes_seen_ == pushes_sent_);
  }

  void on_reply(SlotIndex index, std::string_view bytes, char type, bool last) override {
    REQUIRE_FALSE(in_flight_.empty());
    Asked& first = in_flight_.front();
    REQUIRE(index == first.index);
    REQUIRE(type == first.reply[0]);
    REQUIRE(line_.slots[index].fate == first.fate);
    REQUIRE((last || first.fate != Fate::Whole));
    first.given += bytes;
    if (last) {
      REQUIRE(first.given == first.reply);
      in_flight_.pop_front();
    }
  }

  void on_push(std::string_view bytes) override { pushes_seen_ += bytes; }

 private:
  struct Asked {
    SlotIndex index;
    std::string request;
    std::size_t position;  // in everything that was ever asked
    Fate fate;
    std::string reply;
    std::string given;
  };

  std::size_t number(std::size_t below) { return random_() % below; }

  void step() {
    switch (number(4)) {
      case 0:
      case 1:
        ask();
        break;
      case 2:
        write();
        break;
      default:
        feed();
        break;
    }
  }

  void ask() {
    constexpr std::array kFates{Fate::Forward, Fate::Forward, Fate::Swallow, Fate::Whole};
    Asked asked;
    asked.request.assign(1 + (number(20) == 0 ? number(60000) : number(60)),
                         static_cast<char>('a' + number(26)));
    asked.fate = kFates.at(number(kFates.size()));
    asked.index = line_.ask(asked.request, asked.fate);
    asked.position = asked_bytes_;
    asked_bytes_ += asked.request.size();
    asked.reply =
        number(3) == 0 ? "+OK\r\n" : bulk(std::string(number(number(10) == 0 ? 200000 : 99), 'r'));
    if (number(5) == 0) {
      const std::string push = ">1\r\n" + bulk(std::string(number(50), 'p'));
      to_come_ += push;
      pushes_sent_ += push;
    }
    to_come_ += asked.reply;
    in_flight_.push_back(std::move(asked));
    answerable_.push_back({asked_bytes_, to_come_.size() + fed_});
  }

  void write() { written_ += line_.write(1 + number(50000)).size(); }

  // A server answers only what it has read.
  void feed() {
    std::size_t end = fed_;
    while (!answerable_.empty() && answerable_.front().asked <= written_) {
      end = last_answer_ = answerable_.front().answered;
      answerable_.pop_front();
    }
    end = std::max(end, last_answer_);
    std::size_t left = end - fed_;
    while (left > 0) {
      const std::size_t n = std::min(left, 1 + number(number(2) == 0 ? 40 : 100000));
      REQUIRE(line_.pipeline.feed(std::string_view(to_come_).substr(0, n), *this));
      to_come_.erase(0, n);
      fed_ += n;
      left -= n;
      if (number(4) == 0) {
        return;
      }
    }
  }

  void check_line() {
    REQUIRE(line_.pipeline.size() == in_flight_.size());
    REQUIRE(line_.pipeline.unsent() == asked_bytes_ - written_);
    if (in_flight_.empty()) {
      return;
    }
    const Asked& some = in_flight_[number(in_flight_.size())];
    const Slot& slot = line_.slots[some.index];
    REQUIRE(line_.kept(some.index) == some.request);
    REQUIRE(line_.pipeline.was_sent(slot) == (some.position < written_));
  }

  struct Answerable {
    std::size_t asked;     // bytes of requests that must have been written
    std::size_t answered;  // bytes of replies there are then
  };

  std::minstd_rand random_;
  Line line_;
  std::deque<Asked> in_flight_;
  std::deque<Answerable> answerable_;
  std::string to_come_;
  std::size_t fed_ = 0;
  std::size_t asked_bytes_ = 0;
  std::size_t written_ = 0;
  std::size_t last_answer_ = 0;
  std::string pushes_sent_;
  std::string pushes_seen_;
};

}  // namespace

TEST_CASE("pipeline: random requests, writes and reads agree with a simple model", "[upstream]") {
  for (unsigned seed = 1; seed <= 30; ++seed) {
    CAPTURE(seed);
    Model(seed).run(400);
  }
}
