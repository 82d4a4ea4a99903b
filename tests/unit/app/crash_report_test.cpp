#include "crash_report.hpp"

#include "pannier/base/log.hpp"

#include <catch2/catch.hpp>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <stdexcept>
#include <string>
#include <thread>

namespace pannier::app {
namespace {

struct Death {
  int signal = 0;  // 0: it exited
  std::string said;
};

// Runs `act` in a process of its own.
template <typename Act>
Death die_of(const Act& act) {
  std::array<int, 2> ends{};
  REQUIRE(::pipe(ends.data()) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::dup2(ends[1], STDERR_FILENO);
    ::close(ends[0]);
    std::signal(SIGABRT, SIG_DFL);  // Catch's would tell of it, too
    install_crash_report();
    std::thread thread(act);
    thread.join();
    ::_exit(0);
  }
  ::close(ends[1]);
  Death out;
  std::array<char, 1024> buffer{};
  for (ssize_t n = 0; (n = ::read(ends[0], buffer.data(), buffer.size())) > 0;) {
    out.said.append(buffer.data(), static_cast<std::size_t>(n));
  }
  ::close(ends[0]);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  out.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  return out;
}

bool tells(const Death& death, std::string_view text) {
  return death.said.find(text) != std::string::npos;
}

}  // namespace

TEST_CASE("crash report: an exception that leaves a thread is told and ends the process", "[app]") {
  const Death death = die_of([] {
    name_thread_for_crashes("worker 7");
    throw std::runtime_error("a slot was settled twice");
  });
  CHECK(death.signal == SIGABRT);
  CHECK(tells(death, "worker 7"));
  CHECK(tells(death, "a slot was settled twice"));
  CHECK(tells(death, "bug in Pannier"));
}

TEST_CASE("crash report: what is no std::exception is told, too", "[app]") {
  const Death death = die_of([] { throw 42; });
  CHECK(death.signal == SIGABRT);
  CHECK(tells(death, "bug in Pannier"));
}

TEST_CASE("crash report: a thread that ends well says nothing", "[app]") {
  const Death death = die_of([] {});
  CHECK(death.signal == 0);
  CHECK(death.said.empty());
}

}  // namespace pannier::app
