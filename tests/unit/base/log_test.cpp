#include "pannier/base/log.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <functional>
#include <string>

using namespace pannier::base;

namespace {

// What `action` writes to stderr.
std::string stderr_of(const std::function<void()>& action) {
  std::FILE* file = std::tmpfile();
  REQUIRE(file != nullptr);
  std::fflush(stderr);
  const int saved = ::dup(STDERR_FILENO);
  ::dup2(::fileno(file), STDERR_FILENO);
  action();
  flush_log();
  std::fflush(stderr);
  ::dup2(saved, STDERR_FILENO);
  ::close(saved);
  std::rewind(file);
  std::string out(65536, '\0');
  out.resize(std::fread(out.data(), 1, out.size(), file));
  std::fclose(file);
  return out;
}

struct Counted {
  int* formatted;
};

}  // namespace

template <>
struct fmt::formatter<Counted> : fmt::formatter<int> {
  template <typename Context>
  auto format(const Counted& counted, Context& context) const {
    return fmt::formatter<int>::format(++*counted.formatted, context);
  }
};

// One test: the log is the process's, and text comes before JSON.
TEST_CASE("log: lines in text and JSON, only from the configured level up", "[base]") {
  REQUIRE(log_enabled(LogLevel::Info));
  REQUIRE_FALSE(log_enabled(LogLevel::Debug));

  configure_log(LogLevel::Warn, LogFormat::Text);
  int formatted = 0;
  std::string out = stderr_of([&] {
    log_debug("module", "d {}", Counted{&formatted});
    log_info("module", "i {}", Counted{&formatted});
    log_warn("module", "w {{}} {}", Counted{&formatted});
    log_error("module", "e");
  });
  REQUIRE(formatted == 1);  // nothing is formatted for a level that is off
  REQUIRE(out.find(" warning module: w {} 1\n") != std::string::npos);
  REQUIRE(out.find(" error module: e\n") != std::string::npos);
  REQUIRE(out.find("i 1") == std::string::npos);

  set_log_level(LogLevel::Debug);
  out = stderr_of([] { log_debug("module", "now"); });
  REQUIRE(out.find(" debug module: now\n") != std::string::npos);

  set_log_level(LogLevel::Off);
  out = stderr_of([] { log_error("module", "never"); });
  REQUIRE(out.empty());

  configure_log(LogLevel::Info, LogFormat::Json);
  out = stderr_of([] { log_info("module", "say \"{}\" {{}} \\ \n\t\x01", "hi"); });
  REQUIRE(out.starts_with("{\"time\":\""));
  REQUIRE(
      out.ends_with("\"level\":\"info\",\"module\":\"module\",\"message\":"
                    "\"say \\\"hi\\\" {} \\\\ \\u000a\\u0009\\u0001\"}\n"));
}
