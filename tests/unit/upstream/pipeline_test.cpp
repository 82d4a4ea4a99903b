#include "pannier/upstream/pipeline.hpp"

#include "pipeline_fixture.hpp"

#include <catch2/catch.hpp>

#include <string>
#include <vector>

using pannier::test::bulk;
using pannier::test::Line;
using pannier::test::same_however_cut;
using pannier::upstream::Fate;
using pannier::upstream::kNoSlot;
using pannier::upstream::Pipeline;
using pannier::upstream::SlotIndex;
using Calls = std::vector<std::string>;

TEST_CASE("pipeline: replies go to the requests in the order they were pushed", "[upstream]") {
  Line line;
  line.ask();
  line.ask();
  line.ask();
  REQUIRE(line.feed("+A\r\n:2\r\n-ERR no\r\n"));
  REQUIRE(line.calls ==
          Calls{"reply 0 + last <+A\r\n", "reply 1 : last <:2\r\n", "reply 2 - last <-ERR no\r\n"});
  REQUIRE(line.pipeline.empty());
  REQUIRE(line.slots.in_use() == 0);
}

TEST_CASE("pipeline: replies split at every byte make the same calls", "[upstream]") {
  const auto prepare = [](Line& line) {
    for (int i = 0; i < 9; ++i) {
      line.ask();
    }
  };
  const std::string stream = "+OK\r\n-ERR a\r\n:12\r\n" + bulk("ab\r\nc") + "$-1\r\n*2\r\n" +
                             bulk("x") + "*0\r\n%1\r\n+k\r\n,1.5\r\n_\r\n|1\r\n+a\r\n:1\r\n#t\r\n";
  REQUIRE(same_however_cut(prepare, stream));
  Line line;
  prepare(line);
  REQUIRE(line.feed(stream));
  REQUIRE(line.calls.size() == 9);
  REQUIRE(line.calls.back() == "reply 8 # last <|1\r\n+a\r\n:1\r\n#t\r\n");
}

TEST_CASE("pipeline: an abandoned slot takes its own late reply, the next one the next",
          "[upstream]") {
  Line line;
  line.ask();
  const SlotIndex abandoned = line.ask();
  line.ask();
  REQUIRE(line.feed("+0\r\n+1"));
  line.slots[abandoned].fate = Fate::Abandoned;
  REQUIRE(line.feed("\r\n+2\r\n"));
  REQUIRE(line.calls ==
          Calls{"reply 0 + last <+0\r\n", "reply 1 + last <+1\r\n", "reply 2 + last <+2\r\n"});
}

TEST_CASE("pipeline: a slot keeps its fate and its index until its reply was given", "[upstream]") {
  struct Sink final : pannier::upstream::ReplySink {
    explicit Sink(Line& of) : line(of) {}

    void on_reply(SlotIndex index, std::string_view, char, bool) override {
      seen.push_back(line.slots[index].fate);
      REQUIRE(line.slots.take() != index);  // not given back yet
    }

    void on_push(std::string_view) override {}

    Line& line;
    std::vector<Fate> seen;
  };

  Line line;
  Sink sink(line);
  line.ask("?", Fate::Swallow);
  line.ask("?", Fate::Abandoned);
  line.ask("?", Fate::Internal);
  REQUIRE(line.pipeline.feed("+a\r\n+b\r\n+c\r\n", sink));
  REQUIRE(sink.seen == std::vector{Fate::Swallow, Fate::Abandoned, Fate::Internal});
  REQUIRE(line.slots.in_use() == 3);  // those that the sink took
}

TEST_CASE("pipeline: requests may be pushed while a reply is given", "[upstream]") {
  struct Sink final : pannier::upstream::ReplySink {
    explicit Sink(Line& of) : line(of) {}

    void on_reply(SlotIndex index, std::string_view, char, bool) override {
      order.push_back(line.slots[index].place);
      if (line.asked < 4) {
        line.ask("again");
      }
    }

    void on_push(std::string_view) override {}

    Line& line;
    std::vector<std::uint32_t> order;
  };

  Line line;
  Sink sink(line);
  line.ask("first");
  REQUIRE(line.write(100) == "first");
  REQUIRE(line.pipeline.feed("+0\r\n+1\r\n", sink));
  REQUIRE(line.pipeline.size() == 1);
  REQUIRE(line.kept(line.pipeline.head()) == "again");
  REQUIRE(line.write(100) == "againagain");
  REQUIRE(line.pipeline.feed("+2\r\n+3\r\n", sink));
  REQUIRE(sink.order == std::vector<std::uint32_t>{0, 1, 2, 3});
}

TEST_CASE("pipeline: a reply over 64 KiB comes in parts that make the whole", "[upstream]") {
  const std::string big = bulk(std::string(3 * Pipeline::kStreamFrom, 'x'));
  const std::size_t step = GENERATE(1000U, 4096U, 65536U, 70000U);
  Line line;
  line.ask();
  line.ask();
  const std::string stream = big + "+next\r\n";
  for (std::size_t at = 0; at < stream.size(); at += step) {
    REQUIRE(line.feed(stream.substr(at, step)));
    REQUIRE(line.pipeline.streaming() == (at + step < big.size()));
  }
  REQUIRE(line.calls.size() > 3);
  REQUIRE(line.calls.back() == "reply 1 + last <+next\r\n");
  line.calls.pop_back();
  std::string joined;
  for (std::size_t i = 0; i < line.calls.size(); ++i) {
    const std::string head = i + 1 == line.calls.size() ? "reply 0 $ last <" : "reply 0 $ part <";
    REQUIRE(line.calls[i].starts_with(head));
    REQUIRE(line.started[i] == (i > 0));
    joined += line.calls[i].substr(head.size());
  }
  REQUIRE(joined == big);
}

TEST_CASE("pipeline: an announced size over 64 KiB streams from its first byte on", "[upstream]") {
  Line line;
  line.ask();
  REQUIRE(line.feed("$655"));
  REQUIRE(line.calls.empty());
  REQUIRE(line.feed("36\r\n"));
  REQUIRE(line.calls == Calls{"reply 0 $ part <$65536\r\n"});
}

TEST_CASE("pipeline: many small elements stream once 64 KiB have come", "[upstream]") {
  std::string array = "*10000\r\n";
  for (int i = 0; i < 10000; ++i) {
    array += bulk("element");
  }
  Line line;
  line.ask();
  const std::size_t near = Pipeline::kStreamFrom - 20;
  REQUIRE(line.feed(array.substr(0, near)));
  REQUIRE(line.calls.empty());
  REQUIRE(line.feed(array.substr(near, 21)));
  REQUIRE(line.calls.size() == 1);
  REQUIRE(line.feed(array.substr(near + 21)));
  REQUIRE(line.calls.size() == 2);
  REQUIRE(line.calls[0].substr(16) + line.calls[1].substr(16) == array);
}

TEST_CASE("pipeline: what is wanted whole is collected whatever its size", "[upstream]") {
  const Fate fate = GENERATE(Fate::Whole, Fate::Internal);
  const std::string big = bulk(std::string(5 * Pipeline::kStreamFrom, 'x'));
  Line line;
  line.ask("?", fate);
  for (std::size_t at = 0; at < big.size(); at += 10000) {
    REQUIRE(line.calls.empty());
    REQUIRE(line.feed(big.substr(at, 10000)));
  }
  REQUIRE(line.calls == Calls{"reply 0 $ last <" + big});
}

TEST_CASE("pipeline: a reply that nobody asked for is out of step", "[upstream]") {
  Line line;
  line.ask();
  REQUIRE(line.feed("+asked\r\n"));
  REQUIRE_FALSE(line.feed("+unasked\r\n"));
  REQUIRE(line.pipeline.error() == "a reply that nobody asked for: +unasked\\x0d\\x0a");
  REQUIRE(line.calls.size() == 1);
}

TEST_CASE("pipeline: bytes that are no reply are out of step, what came before counts",
          "[upstream]") {
  Line line;
  line.ask();
  line.ask();
  REQUIRE_FALSE(line.feed("+good\r\nHTTP/1.1 400 Bad Request\r\n"));
  REQUIRE(line.pipeline.error() == "unknown reply type");
  REQUIRE(line.calls == Calls{"reply 0 + last <+good\r\n"});
  REQUIRE(line.pipeline.size() == 1);
  REQUIRE_FALSE(line.feed("+better\r\n"));
}

TEST_CASE("pipeline: RESP3 pushes between replies own no place in the order", "[upstream]") {
  const auto prepare = [](Line& line) {
    line.ask();
    line.ask();
  };
  const std::string push = ">2\r\n" + bulk("invalidate") + "*1\r\n" + bulk("k");
  const std::string stream = push + "+a\r\n" + push + "+b\r\n" + push;
  REQUIRE(same_however_cut(prepare, stream));
  Line line;
  prepare(line);
  REQUIRE(line.feed(stream));
  REQUIRE(line.calls == Calls{"push <" + push,
                              "reply 0 + last <+a\r\n",
                              "push <" + push,
                              "reply 1 + last <+b\r\n",
                              "push <" + push});
}

TEST_CASE("pipeline: a push is seen whole whatever its size", "[upstream]") {
  Line line;
  line.ask();
  const std::string push = ">2\r\n" + bulk("message") + bulk(std::string(200000, 'm'));
  for (std::size_t at = 0; at < push.size(); at += 30000) {
    REQUIRE(line.calls.empty());
    REQUIRE(line.feed(push.substr(at, 30000)));
  }
  REQUIRE(line.calls == Calls{"push <" + push});
}

TEST_CASE("pipeline: a request is kept until its reply has come, then released", "[upstream]") {
  Line line;
  const std::string large(40000, 'r');
  const SlotIndex first = line.ask("first");
  const SlotIndex second = line.ask(large);
  const SlotIndex third = line.ask("third");
  REQUIRE(line.write(100000) == "first" + large + "third");
  REQUIRE(line.kept(first) == "first");
  REQUIRE(line.feed("+1\r\n"));
  REQUIRE(line.kept(second) == large);
  REQUIRE(line.kept(third) == "third");
  const std::size_t held = line.blocks.used_bytes();
  REQUIRE(line.feed("+2\r\n"));
  REQUIRE(line.blocks.used_bytes() < held);
  REQUIRE(line.kept(third) == "third");
  REQUIRE(line.feed("+3\r\n"));
  REQUIRE(line.blocks.used_bytes() == 0);
}

TEST_CASE("pipeline: unsent bytes survive the release of what was answered", "[upstream]") {
  Line line;
  line.ask("first");
  REQUIRE(line.write(5) == "first");
  const SlotIndex second = line.ask("second");
  REQUIRE(line.feed("+1\r\n"));
  REQUIRE(line.pipeline.unsent() == 6);
  REQUIRE_FALSE(line.pipeline.was_sent(line.slots[second]));
  REQUIRE(line.write(100) == "second");
}

TEST_CASE("pipeline: what streams is not kept, what is asked later is again", "[upstream]") {
  Line line;
  const SlotIndex large = line.ask("*3\r\n...");
  const std::string piece(50000, 'v');
  line.pipeline.append_streamed(piece);
  REQUIRE(line.slots[large].length == 0);
  REQUIRE(line.write(100000) == "*3\r\n..." + piece);
  REQUIRE(line.blocks.used_bytes() == 0);
  line.pipeline.append_streamed(piece);
  REQUIRE(line.write(100000) == piece);
  REQUIRE(line.pipeline.was_sent(line.slots[large]));
  REQUIRE(line.feed("+OK\r\n"));
  const SlotIndex next = line.ask("next");
  REQUIRE(line.write(100) == "next");
  REQUIRE(line.kept(next) == "next");
}

TEST_CASE("pipeline: a request counts as sent once its first byte has left", "[upstream]") {
  Line line;
  const SlotIndex first = line.ask("aaaa");
  const SlotIndex second = line.ask("bbbb");
  const auto sent = [&](SlotIndex index) {
    return line.pipeline.was_sent(line.slots[index]);
  };
  REQUIRE_FALSE(sent(first));
  REQUIRE(line.write(1) == "a");
  REQUIRE(sent(first));
  REQUIRE(line.write(3) == "aaa");
  REQUIRE_FALSE(sent(second));
  REQUIRE(line.write(1) == "b");
  REQUIRE(sent(second));
  REQUIRE(line.pipeline.unsent() == 3);
}

TEST_CASE("pipeline: take_head empties the line, oldest first, and tells what was sent",
          "[upstream]") {
  Line line;
  const SlotIndex first = line.ask("one");
  const SlotIndex second = line.ask("two");
  const SlotIndex third = line.ask("three");
  REQUIRE(line.write(4) == "onet");
  std::vector<SlotIndex> visited;
  line.pipeline.for_each([&](SlotIndex index) { visited.push_back(index); });
  REQUIRE(visited == std::vector{first, second, third});
  REQUIRE(line.pipeline.size() == 3);
  REQUIRE(line.pipeline.take_head() == first);
  REQUIRE(line.pipeline.take_head() == second);
  REQUIRE(line.pipeline.was_sent(line.slots[second]));
  REQUIRE(line.pipeline.take_head() == third);
  REQUIRE_FALSE(line.pipeline.was_sent(line.slots[third]));
  REQUIRE(line.kept(third) == "three");
  REQUIRE(line.pipeline.take_head() == kNoSlot);
  REQUIRE(line.pipeline.empty());
}
