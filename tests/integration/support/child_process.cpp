#include "child_process.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <utility>

namespace pannier::test {

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto kPause = 3ms;
constexpr int kCannotRun = 127;

// Only what is allowed between fork and exec in a program with threads.
[[noreturn]] void become(char* const* line, const char* output, pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) {
    ::_exit(126);  // the parent died before the line above
  }
  const int null = ::open("/dev/null", O_RDONLY);
  const int file = ::open(output, O_WRONLY | O_CREAT | O_APPEND, 0600);
  ::dup2(null, STDIN_FILENO);
  ::dup2(file, STDOUT_FILENO);
  ::dup2(file, STDERR_FILENO);
  ::execvp(line[0], line);
  ::_exit(kCannotRun);
}

}  // namespace

ChildProcess::ChildProcess(std::vector<std::string> words, const std::filesystem::path& output)
    : program_(words.at(0)) {
  std::vector<char*> line;
  line.reserve(words.size() + 1);
  for (std::string& word : words) {
    line.push_back(word.data());
  }
  line.push_back(nullptr);
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) {
    throw std::system_error(errno, std::generic_category(), "fork");
  }
  if (pid == 0) {
    become(line.data(), output.c_str(), parent);
  }
  pid_ = pid;
}

ChildProcess::~ChildProcess() {
  kill();
}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept
    : program_(std::move(other.program_)),
      pid_(std::exchange(other.pid_, 0)) {}

ChildProcess& ChildProcess::operator=(ChildProcess&& other) noexcept {
  kill();
  program_ = std::move(other.program_);
  pid_ = std::exchange(other.pid_, 0);
  return *this;
}

bool ChildProcess::wait_until_ready(const std::function<bool()>& ready,
                                    std::chrono::milliseconds limit) {
  const auto deadline = Clock::now() + limit;
  while (!wait(0ms)) {
    if (ready()) {
      // It may be somebody else who answers there, if ours could not have the port.
      return !wait(0ms);
    }
    if (Clock::now() > deadline) {
      throw std::runtime_error(program_ + " is not ready in time");
    }
    std::this_thread::sleep_for(kPause);
  }
  return false;
}

std::optional<int> ChildProcess::wait(std::chrono::milliseconds limit) {
  const auto deadline = Clock::now() + limit;
  while (is_running()) {
    int status = 0;
    if (::waitpid(pid_, &status, WNOHANG) == pid_) {
      pid_ = 0;
      if (WIFEXITED(status) && WEXITSTATUS(status) == kCannotRun) {
        throw std::runtime_error("cannot run " + program_);
      }
      return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    if (Clock::now() >= deadline) {
      break;
    }
    std::this_thread::sleep_for(kPause);
  }
  return std::nullopt;
}

void ChildProcess::signal(int number) const {
  if (is_running()) {
    ::kill(pid_, number);
  }
}

void ChildProcess::freeze() {
  if (!is_running()) {
    throw std::runtime_error(program_ + " is not there to be frozen");
  }
  signal(SIGSTOP);
  // Stopped only when the kernel says so; until then it may still answer.
  int status = 0;
  ::waitpid(pid_, &status, WUNTRACED);
  if (!WIFSTOPPED(status)) {
    pid_ = 0;
    throw std::runtime_error(program_ + " ended instead of freezing");
  }
}

void ChildProcess::thaw() const {
  signal(SIGCONT);
}

void ChildProcess::kill() {
  if (is_running()) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }
}

void ChildProcess::stop(std::chrono::milliseconds limit) {
  signal(SIGTERM);
  thaw();  // a frozen one would not hear SIGTERM
  wait(limit);
  kill();
}

std::filesystem::path make_directory(const std::string& prefix) {
  std::string name = (std::filesystem::temp_directory_path() / (prefix + "_XXXXXX")).string();
  if (::mkdtemp(name.data()) == nullptr) {
    throw std::system_error(errno, std::generic_category(), name);
  }
  return name;
}

}  // namespace pannier::test
