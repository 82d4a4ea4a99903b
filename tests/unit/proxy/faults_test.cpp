#include "pannier/proxy/faults.hpp"

#include <catch2/catch.hpp>

#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace pannier::proxy {
namespace {

using namespace std::chrono_literals;

FaultRule rule_of(std::string_view form) {
  auto parsed = parse_fault(form);
  if (const auto* fault = std::get_if<std::string>(&parsed)) {
    FAIL(*fault);
  }
  return std::get<FaultRule>(std::move(parsed));
}

std::string fault_of(std::string_view form) {
  const auto parsed = parse_fault(form);
  const auto* fault = std::get_if<std::string>(&parsed);
  return fault == nullptr ? "no fault" : *fault;
}

const command::CommandSpec& row_of(std::string_view name) {
  const std::vector<std::string_view> words{name};
  return *command::find(words);
}

const base::TimePoint kStart{1h};

}  // namespace

TEST_CASE("faults: a whole rule is read as it is written") {
  const auto rule = rule_of(
      "class=product&command=GET&node=127.0.0.1:7001&percent=12.5&action=delay:200ms&for=1m\n");
  CHECK(rule.key_class == "product");
  CHECK(rule.row == &row_of("get"));
  CHECK(rule.node == "127.0.0.1:7001");
  CHECK(rule.percent == 12.5);
  CHECK(rule.action == FaultAction::Delay);
  CHECK(rule.delay == 200ms);
  CHECK(rule.period == 60s);
  CHECK(in_words(rule) ==
        "delay 200ms: class product, command get, node 127.0.0.1:7001, 12.5% of requests");
}

TEST_CASE("faults: what is left out fits everything") {
  const auto rule = rule_of("action=drop&for=10m");
  CHECK(rule.percent == 100);
  CHECK(rule.fits("", row_of("get"), "a:1"));
  CHECK(rule.fits("product", row_of("set"), "b:1"));
  CHECK(in_words(rule) == "drop: any class, any command, any node, 100% of requests");
}

TEST_CASE("faults: what is given has to fit, all of it") {
  const auto rule = rule_of("class=product&command=get&node=a:1&action=close&for=1s");
  CHECK(rule.fits("product", row_of("get"), "a:1"));
  CHECK_FALSE(rule.fits("price", row_of("get"), "a:1"));
  CHECK_FALSE(rule.fits("", row_of("get"), "a:1"));
  CHECK_FALSE(rule.fits("product", row_of("hget"), "a:1"));
  CHECK_FALSE(rule.fits("product", row_of("get"), "a:11"));
}

TEST_CASE("faults: an error's text is decoded as forms are") {
  const auto text = [](std::string_view value) {
    return rule_of("for=1s&action=" + std::string(value)).text;
  };
  CHECK(text("error:LOADING+Redis+is+loading") == "LOADING Redis is loading");
  CHECK(text("error:ERR%20a%26b%3D100%25") == "ERR a&b=100%");
  CHECK(text("error:ERR 100%") == "ERR 100%");
  CHECK(text("error:ERR 5%zz") == "ERR 5%zz");
  CHECK(text("error%3AOOM a:b") == "OOM a:b");
}

TEST_CASE("faults: nothing that would break the protocol becomes an error's text") {
  for (const auto* value :
       {"error", "error:", "error:lower", "error:ERR%0d%0a+OK", "error:ERR%00"}) {
    CAPTURE(value);
    CHECK(fault_of("for=1s&action=" + std::string(value))
              .starts_with("action: error needs one line"));
  }
  CHECK(fault_of("for=1s&action=error:E" + std::string(200, 'x')).starts_with("action: error"));
}

TEST_CASE("faults: each ends by itself, soon") {
  CHECK(fault_of("action=drop").starts_with("for is missing: each rehearsal ends by itself"));
  for (const auto* period : {"11m", "0s", "1", "-1s", "1h", "60", "soon", ""}) {
    CAPTURE(period);
    CHECK(fault_of("action=drop&for=" + std::string(period)) != "no fault");
  }
  CHECK(fault_of("action=drop&for=600s") == "no fault");
}

TEST_CASE("faults: what is wrong is named") {
  const std::vector<std::pair<std::string, std::string>> cases{
      {"", "action is missing"},
      {"for=1s", "action is missing"},
      {"for=1s&action=explode", "action: write delay:TIME, error:TEXT, drop or close"},
      {"for=1s&action=drop:1", "action: write"},
      {"for=1s&action=delay", "action: delay needs a time"},
      {"for=1s&action=delay:31s", "action: delay needs a time of at most 30s"},
      {"for=1s&action=drop&percent=0", "percent: write a number"},
      {"for=1s&action=drop&percent=101", "percent: write a number"},
      {"for=1s&action=drop&percent=ten", "percent: write a number"},
      {"for=1s&action=drop&percent=nan", "percent: write a number"},
      {"for=1s&action=drop&command=NOSUCH", "command: there is no 'NOSUCH'"},
      {"for=1s&action=drop&clas=product", "there is no field 'clas'"},
      {"for=1s&action=drop&class", "'class' needs a value"},
      {"for=1s&action=drop&for=2s", "'for' is there twice"}};
  for (const auto& [form, what] : cases) {
    CAPTURE(form);
    CHECK(fault_of(form).starts_with(what));
  }
  CHECK(rule_of("for=1s&action=drop&percent=10%").percent == 10);
  CHECK(rule_of("for=1s&action=drop&command=CONFIG+SET").row != nullptr);
}

TEST_CASE("faults: the table tells who is on, and forgets who is over") {
  FaultTable table;
  CHECK(table.all() == nullptr);
  CHECK(table.add(rule_of("action=drop&for=10s"), kStart) == 1);
  CHECK(table.add(rule_of("action=close&for=20s"), kStart) == 2);
  const FaultSetPtr both = table.all();
  REQUIRE(both->size() == 2);
  CHECK((*both)[0]->until == kStart + 10s);
  CHECK_FALSE(table.expire(kStart + 10s - 1ns));
  CHECK(table.expire(kStart + 10s));
  REQUIRE(table.all()->size() == 1);
  CHECK((*table.all())[0]->id == 2);
  CHECK(both->size() == 2);  // who looks at an older copy is not disturbed
  CHECK(table.clear() == 1);
  CHECK(table.all() == nullptr);
  CHECK(table.clear() == 0);
  CHECK_FALSE(table.expire(kStart + 1h));
}

TEST_CASE("faults: there are not too many at a time") {
  FaultTable table;
  for (std::size_t i = 0; i < FaultTable::kMost; ++i) {
    REQUIRE(table.add(rule_of("action=drop&for=10s"), kStart) != 0);
  }
  CHECK(table.add(rule_of("action=drop&for=10s"), kStart) == 0);
  CHECK(table.all()->size() == FaultTable::kMost);
}

}  // namespace pannier::proxy
