#include "html.hpp"

#include <catch2/catch.hpp>

using namespace pannier::admin;
using namespace std::chrono_literals;

TEST_CASE("html: text is escaped") {
  CHECK(escaped("<a href=\"x\">'&'</a>") ==
        "&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;&lt;/a&gt;");
}

TEST_CASE("html: numbers are grouped by thousands") {
  CHECK(grouped(0) == "0");
  CHECK(grouped(999) == "999");
  CHECK(grouped(1000) == "1,000");
  CHECK(grouped(1234567) == "1,234,567");
}

TEST_CASE("html: times have the units that people use") {
  CHECK(human_seconds(-1) == "0 s");
  CHECK(human_seconds(59.9) == "59 s");
  CHECK(human_seconds(61) == "1 min 1 s");
  CHECK(human_seconds(3600) == "1 h 0 min");
  CHECK(human_seconds(93784) == "1 d 2 h");
  CHECK(human_microseconds(0.5) == "0.5 µs");
  CHECK(human_microseconds(250) == "250 µs");
  CHECK(human_microseconds(1500) == "1.5 ms");
  CHECK(human_microseconds(2e6) == "2 s");
}

TEST_CASE("html: a quantile is the bound of the bucket it lies in") {
  pannier::metrics::HistogramTotals totals;
  CHECK(quantile_text(totals, 0.5) == "–");
  totals.buckets[3] = 95;  // up to 250 us
  totals.buckets[4] = 4;   // up to 500 us
  totals.buckets.back() = 1;
  totals.count = 100;
  CHECK(quantile_text(totals, 0.5) == "≤ 250 µs");
  CHECK(quantile_text(totals, 0.95) == "≤ 250 µs");
  CHECK(quantile_text(totals, 0.99) == "≤ 500 µs");
  CHECK(quantile_text(totals, 1) == "> 1 s");
}
