#include "write_ledger.hpp"

#include <catch2/catch.hpp>

#include <cstdint>
#include <string>

// The judge of the failure tests: each fault that they look for is seen, and nothing else.
namespace pannier::test {

namespace {

using Outcome = WriteLedger::Outcome;

struct Rig {
  WriteLedger ledger;
  WriteLedger::KeyId text = ledger.add_text("t");
  WriteLedger::KeyId counter = ledger.add_counter("n");
  std::uint64_t origin = std::stoull(ledger.first_value(counter));

  // A whole write of the text.
  std::string write(Outcome outcome) {
    const auto ticket = ledger.begin_write(text);
    CHECK(ledger.end_write(ticket, outcome).empty());
    return ledger.value(ticket);
  }

  // What is said of a read that begins now and shows this.
  [[nodiscard]] std::string read(const std::string& value) const {
    std::uint64_t seen = 0;
    return ledger.end_read(ledger.begin_read(text), value, seen);
  }

  std::string add(Outcome outcome, std::uint64_t number = 0) {
    return ledger.end_write(ledger.begin_write(counter), outcome, origin + number);
  }
};

}  // namespace

TEST_CASE("ledger: another key's value, and what was never written", "[support]") {
  Rig rig;
  const std::string first = rig.write(Outcome::Done);
  CHECK(rig.read(first).empty());
  CHECK_FALSE(rig.read("other#1#").empty());
  CHECK_FALSE(rig.read("t2#1#").empty());
  CHECK_FALSE(rig.read("t#2#").empty());
  CHECK_FALSE(rig.read("").empty());
}

TEST_CASE("ledger: an acknowledged write is seen by reads that begin later", "[support]") {
  Rig rig;
  const std::string first = rig.write(Outcome::Done);
  const auto before = rig.ledger.begin_read(rig.text);
  const std::string second = rig.write(Outcome::Done);
  std::uint64_t seen = 0;
  CHECK(rig.ledger.end_read(before, first, seen).empty());
  CHECK_FALSE(rig.read(first).empty());
  CHECK(rig.read(second).empty());
}

TEST_CASE("ledger: what a session has seen it sees again", "[support]") {
  Rig rig;
  const std::string first = rig.write(Outcome::Done);
  const auto open = rig.ledger.begin_write(rig.text);
  std::uint64_t seen = 0;
  CHECK(rig.ledger.end_read(rig.ledger.begin_read(rig.text), rig.ledger.value(open), seen).empty());
  CHECK_FALSE(rig.ledger.end_read(rig.ledger.begin_read(rig.text, seen), first, seen).empty());
}

TEST_CASE("ledger: one that was not sent is never seen, one that may have run at any time",
          "[support]") {
  Rig rig;
  const std::string doubtful = rig.write(Outcome::MayHaveRun);
  const std::string refused = rig.write(Outcome::NotRun);
  const std::string done = rig.write(Outcome::Done);
  CHECK(rig.read(doubtful).empty());
  CHECK_FALSE(rig.read(refused).empty());
  CHECK(rig.read(done).empty());
}

TEST_CASE("ledger: additions that are lost, run twice or are another's", "[support]") {
  Rig rig;
  CHECK(rig.add(Outcome::Done, 1).empty());
  CHECK_FALSE(rig.add(Outcome::Done, 1).empty());
  CHECK(rig.add(Outcome::MayHaveRun).empty());
  CHECK(rig.add(Outcome::NotRun).empty());
  // Asked for: 1, the one that was answered wrong, the doubtful one, and this.
  CHECK(rig.add(Outcome::Done, 4).empty());
  CHECK_FALSE(rig.add(Outcome::Done, 6).empty());
  CHECK_FALSE(rig.add(Outcome::Done, 2'000'000'000).empty());
}

TEST_CASE("ledger: behind a failover no more is expected than what the survivor has", "[support]") {
  Rig rig;
  const std::string first = rig.write(Outcome::Done);
  const std::string second = rig.write(Outcome::Done);
  CHECK(rig.add(Outcome::Done, 1).empty());
  rig.ledger.rebase({{"t", first}});
  CHECK(rig.read(first).empty());
  CHECK(rig.read(second).empty());
  CHECK_FALSE(rig.read("t#0#").empty());
  // The counter is gone and begins again.
  const auto ticket = rig.ledger.begin_write(rig.counter);
  CHECK(rig.ledger.end_write(ticket, Outcome::Done, 1).empty());
  const std::string third = rig.write(Outcome::Done);
  CHECK_FALSE(rig.read(first).empty());
  CHECK(rig.read(third).empty());
}

}  // namespace pannier::test
