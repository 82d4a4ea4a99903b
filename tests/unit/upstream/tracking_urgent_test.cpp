#include "upstream_fixture.hpp"

#include <catch2/catch.hpp>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

using namespace pannier;
using net::Urgency;

namespace {

// A descriptor that is always ready, and the order in which such were handled.
class Ready final : public net::Pollable {
 public:
  Ready(test::Upstream& up, std::vector<std::string>& order, std::string name, Urgency urgency)
      : up_(up),
        order_(order),
        name_(std::move(name)),
        urgency_(urgency),
        descriptor_(::eventfd(1, EFD_NONBLOCK)) {
    up_.runtime.poller.add(descriptor_, this, EPOLLIN, urgency_);
  }

  ~Ready() {
    up_.runtime.poller.remove(descriptor_, this);
    ::close(descriptor_);
  }

  Ready(const Ready&) = delete;
  Ready& operator=(const Ready&) = delete;

  void on_events(std::uint32_t events) override {
    REQUIRE((events & EPOLLIN) != 0);
    order_.push_back(name_);
    if (when_handled) {
      when_handled();
    }
  }

  void change() { up_.runtime.poller.modify(descriptor_, this, EPOLLIN | EPOLLOUT, urgency_); }

  std::function<void()> when_handled;

 private:
  test::Upstream& up_;
  std::vector<std::string>& order_;
  std::string name_;
  Urgency urgency_;
  int descriptor_;
};

using Order = std::vector<std::string>;

}  // namespace

TEST_CASE("poller: urgent ones come first, all others in their order", "[upstream]") {
  test::Upstream up;
  Order order;
  std::vector<std::unique_ptr<Ready>> all;
  for (const std::string name : {"a", "b", "X", "c", "Y"}) {
    const bool urgent = name < "a";
    all.push_back(
        std::make_unique<Ready>(up, order, name, urgent ? Urgency::Urgent : Urgency::Normal));
  }
  REQUIRE(up.turn_within(std::chrono::seconds(10)) == 5);
  REQUIRE(order == Order{"X", "Y", "a", "b", "c"});
  all[2]->change();
  order.clear();
  REQUIRE(up.turn_within(std::chrono::seconds(10)) == 5);
  REQUIRE(order.size() == 5);
  REQUIRE(order[2] != "X");
  REQUIRE((order[0] == "X" || order[1] == "X"));
}

TEST_CASE("poller: who is removed by an earlier one of the turn is not called", "[upstream]") {
  test::Upstream up;
  Order order;
  auto gone = std::make_unique<Ready>(up, order, "gone", Urgency::Normal);
  auto urgent_gone = std::make_unique<Ready>(up, order, "urgent gone", Urgency::Urgent);
  const auto first = std::make_unique<Ready>(up, order, "first", Urgency::Urgent);
  const auto take_away = [&] {
    gone.reset();
    order.erase(std::remove(order.begin(), order.end(), "urgent gone"), order.end());
    urgent_gone.reset();
  };
  first->when_handled = take_away;
  REQUIRE(up.turn_within(std::chrono::seconds(10)) == 3);
  REQUIRE(order == Order{"first"});
}
