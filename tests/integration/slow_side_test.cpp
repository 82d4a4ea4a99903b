#include "failure_rig.hpp"
#include "memory_watch.hpp"
#include "raw_client.hpp"

#include <catch2/catch.hpp>

#include <chrono>
#include <cstddef>
#include <iostream>
#include <string>
#include <vector>

// Connections that misbehave while their node is well: replies that stop half-way, come late or end
// in a reset, directions that are closed, and clients that do not read. Whatever happens on one
// connection, no reply goes to another request.
namespace pannier::test {

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using Ending = Relay::Ending;
using Side = Relay::Side;

constexpr std::size_t kMiB = 1024UL * 1024;

RigOptions with_relays() {
  RigOptions options;
  options.relays = true;
  return options;
}

}  // namespace

TEST_CASE("slow side: replies of a replica end half-way, again and again", "[failure]") {
  const auto ending = GENERATE(Ending::Reset, Ending::Close, Ending::Silence);
  const std::string event = ending == Ending::Reset   ? "reset within a reply"
                            : ending == Ending::Close ? "end within a reply"
                                                      : "silence within a reply";
  FailureRig rig(with_relays());
  for (std::size_t i = 0; i < 10; ++i) {
    // Values are of 40 and of 3,000 bytes: nearly every place is within one.
    rig.relay(1).cut_after(1000 + 777 * i, ending);
    let_run(150ms);
  }
  let_run(1s);
  const LoadReport report = rig.load().show(event);
  check_reads(report, event);
  CHECK(report.failures(Asked::Write) == 0);
  rig.finish(0);
}

TEST_CASE("slow side: replies of the primary end half-way, again and again", "[failure]") {
  const auto ending = GENERATE(Ending::Reset, Ending::Silence);
  RigOptions options = with_relays();
  options.primary_near = true;
  FailureRig rig(options);
  for (std::size_t i = 0; i < 5; ++i) {
    rig.relay(0).cut_after(1000 + 777 * i, ending);
    let_run(300ms);
  }
  let_run(2s);
  const LoadReport report = rig.load().show("primary's replies end half-way");
  if (ending == Ending::Reset) {
    check_reads(report, "primary's replies end half-way");
  } else {
    // Behind a write that may never be answered, what only the primary can show has to wait.
    check_reads_apart(report, "primary's replies end half-way");
  }
  CHECK(report.count(Asked::Write, Answer::OtherError) == 0);
  rig.finish(0);
}

TEST_CASE("slow side: one direction of a node's connections is closed", "[failure]") {
  const auto side = GENERATE(Side::Requests, Side::Replies);
  const std::size_t node = GENERATE(0U, 1U);
  RigOptions options = with_relays();
  options.primary_near = node == 0;
  FailureRig rig(options);
  for (int i = 0; i < 5; ++i) {
    rig.relay(node).half_close(side);
    let_run(200ms);
  }
  let_run(500ms);
  const LoadReport report = rig.load().show("half closed");
  check_reads(report, "half closed");
  CHECK(report.count(Asked::Write, Answer::OtherError) == 0);
  rig.finish(0);
}

TEST_CASE("slow side: replies come behind every deadline, and go to nobody else", "[failure]") {
  RigOptions options = with_relays();
  options.replicas = 0;
  FailureRig rig(options);
  rig.relay(0).delay_replies(700ms);
  let_run(2s);
  const LoadReport late = rig.load().show("replies late by 700 ms");
  CHECK(late.count(Asked::Read, Answer::Nil) == 0);
  CHECK(late.count(Asked::Read, Answer::OtherError) == 0);
  rig.relay(0).delay_replies(0ms);
  rig.relay(0).delay_requests(700ms);
  rig.load().begin_phase();
  let_run(2s);
  rig.load().show("requests late by 700 ms");
  rig.relay(0).delay_requests(0ms);
  rig.finish(0);
}

TEST_CASE("slow side: a replica is slower than `attempt`, another is not", "[failure]") {
  FailureRig rig(with_relays());
  rig.relay(1).delay_replies(300ms);
  let_run(2s);
  const LoadReport report = rig.load().show("replica slow by 300 ms");
  check_reads(report, "replica slow by 300 ms");
  CHECK(report.failures(Asked::Write) == 0);
  rig.relay(1).delay_replies(0ms);
  rig.finish(0);
}

TEST_CASE("slow side: of many connections to a node one is silent", "[failure]") {
  RigOptions options = with_relays();
  options.upstream = "lanes: { min: 2, max: 4 }";
  FailureRig rig(options);
  const std::size_t newest = rig.relay(1).accepted();
  REQUIRE(newest > 1);
  // One after the other: lanes, and those that ask and hear.
  for (std::size_t number = 1; number <= newest; ++number) {
    rig.relay(1).choose([number](std::size_t each) { return each == number; });
    rig.relay(1).end_all(Ending::Silence);
    let_run(100ms);
  }
  let_run(1s);
  const LoadReport report = rig.load().show("one connection silent");
  check_reads(report, "one connection silent");
  CHECK(report.failures(Asked::Write) == 0);
  rig.finish(0);
}

TEST_CASE("slow side: 100 MB replies are cut within, beside the load", "[failure]") {
  FailureRig rig(with_relays());
  RawClient direct(rig.server(0).port());
  const std::string value = large_value(100 * kMiB);
  REQUIRE(direct.call({"SET", "large", value}) == "+OK\r\n");
  rig.wait_for_copies(0);
  REQUIRE(rig.load().wait_for_calm(20s));
  MemoryWatch memory(rig.pannier());
  rig.load().begin_phase();
  for (const Ending ending : {Ending::Reset, Ending::Close}) {
    RawClient reader(rig.pannier().port());
    reader.ask({"GET", "large"});
    const std::string header = reader.read_line();
    REQUIRE(header == "$" + std::to_string(value.size()) + "\r\n");
    bool same = true;
    std::size_t at = 0;
    const auto take = [&](std::string_view part) {
      same = same && std::string_view(value).substr(at, part.size()) == part;
      at += part.size();
    };
    reader.read_bytes(20 * kMiB, take);
    rig.relay(0).cut_after(kMiB, ending);
    // Half a reply cannot be made good: the client is told by the end of its connection, and
    // whatever came until then is the value's.
    const std::string rest = reader.read_to_end();
    take(rest);
    CHECK(same);
    CHECK(at < value.size());
  }
  let_run(500ms);
  const LoadReport report = rig.load().show("100 MB replies cut");
  check_reads(report, "100 MB replies cut");
  CHECK(report.count(Asked::Write, Answer::OtherError) == 0);
  CHECK(memory.growth() <= 64 * kMiB);
  rig.finish(0);
}

TEST_CASE("slow side: clients that do not read hold up nobody and stay small", "[failure]") {
  FailureRig rig;
  RawClient direct(rig.server(0).port());
  REQUIRE(direct.call({"SET", "page", large_value(kMiB)}) == "+OK\r\n");
  rig.wait_for_copies(0);
  MemoryWatch memory(rig.pannier());
  rig.load().begin_phase();
  std::vector<RawClient> lazy;
  for (int i = 0; i < 50; ++i) {
    lazy.emplace_back(rig.pannier().port());
    for (int j = 0; j < 20; ++j) {
      lazy.back().ask({"GET", "page"});
    }
  }
  let_run(2s);
  const LoadReport report = rig.load().show("50 clients do not read 20 MB each");
  // A write that was sent before the first large reply came is behind it: it has run, and its reply
  // cannot be had before the large one is read. It is told so; no later one has to wait.
  check_reads_apart(report, "50 clients do not read 20 MB each");
  CHECK(report.failures(Asked::Write) == report.count(Asked::Write, Answer::MayHaveRun) +
                                             report.count(Asked::Write, Answer::NotSent));
  CHECK(report.failures(Asked::Write) < 100);
  const std::size_t growth = memory.growth();
  std::cout << "memory grew by " << growth / kMiB << " MiB" << std::endl;
  CHECK(growth <= 96 * kMiB);
  rig.finish(0);
}

}  // namespace pannier::test
