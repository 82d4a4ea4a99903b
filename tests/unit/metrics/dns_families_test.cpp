#include "pannier/metrics/registry.hpp"

#include <catch2/catch.hpp>

#include <chrono>
#include <string>

using namespace pannier::metrics;
using namespace std::chrono_literals;
using pannier::base::Clock;

TEST_CASE("dns_families: look-ups by result, and how old the good answers are") {
  Registry registry{BuildInfo{"0.1.0", "r", "c"}};
  DnsState state;
  state.lookups = {7, 1, 2, 3};
  state.names = {{"main.test:6379", Clock::now() - 30s}, {"main-ro.test:6379", std::nullopt}};
  registry.set_dns(state);
  const auto text = registry.serialize();
  CHECK(text.find("pannier_dns_lookups_total{result=\"found\"} 7\n") != std::string::npos);
  CHECK(text.find("pannier_dns_lookups_total{result=\"not_found\"} 1\n") != std::string::npos);
  CHECK(text.find("pannier_dns_lookups_total{result=\"failed\"} 2\n") != std::string::npos);
  CHECK(text.find("pannier_dns_lookups_total{result=\"timed_out\"} 3\n") != std::string::npos);
  CHECK(text.find("pannier_dns_age_seconds{name=\"main.test:6379\"} 30") != std::string::npos);
  CHECK(text.find("pannier_dns_age_seconds{name=\"main-ro") == std::string::npos);
}

TEST_CASE("dns_families: nothing where no name is configured") {
  const Registry registry{BuildInfo{"0.1.0", "r", "c"}};
  CHECK(registry.serialize().find("pannier_dns_") == std::string::npos);
}
