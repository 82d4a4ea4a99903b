#include "pannier_process.hpp"

#include "raw_client.hpp"
#include "redis_server.hpp"

#include <catch2/catch.hpp>
#include <unistd.h>

#include <csignal>
#include <exception>
#include <fstream>
#include <iostream>
#include <sstream>
#include <stdexcept>
#include <utility>

namespace pannier::test {

namespace {

using namespace std::chrono_literals;

constexpr auto kStartLimit = 20s;

std::string read_file(const std::filesystem::path& file) {
  std::ifstream stream(file);
  std::ostringstream text;
  text << stream.rdbuf();
  return text.str();
}

ChildProcess start(std::vector<std::string> words, const std::filesystem::path& directory) {
  words.insert(words.begin(), PANNIER_BINARY);
  return ChildProcess(std::move(words), directory / "log");
}

bool test_is_failing() {
  return std::uncaught_exceptions() > 0 || !Catch::getResultCapture().lastAssertionPassed();
}

}  // namespace

std::string upstream_of(const std::vector<std::string>& addresses, std::string_view more) {
  std::string out = "{ nodes: [";
  for (const std::string& address : addresses) {
    out += (out.back() == '[' ? "" : ", ") + std::string("{ address: \"") + address + "\" }";
  }
  out += "]";
  out += (more.empty() ? "" : ", ") + std::string(more) + " }";
  return out;
}

PannierProcess::PannierProcess(const PannierOptions& options)
    : directory_(make_directory("pannier_test")) {
  try {
    // Someone else may take the ports between the look and the start.
    for (int attempt = 0; attempt < 5; ++attempt) {
      port_ = free_port();
      probe_port_ = free_port();
      admin_port_ = options.admin ? free_port() : 0;
      write_config(options);
      if (start_once()) {
        return;
      }
    }
    throw std::runtime_error("pannier does not start: " + log());
  } catch (...) {
    child_.kill();
    std::filesystem::remove_all(directory_);
    throw;
  }
}

PannierProcess::~PannierProcess() {
  child_.kill();
  if (test_is_failing()) {
    const std::string all = log();
    std::cerr << "--- the end of Pannier's log:\n"
              << (all.size() <= 6000 ? all : all.substr(all.size() - 6000)) << "---\n";
  }
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

void PannierProcess::write_config(const PannierOptions& options) const {
  std::ofstream file(config_file());
  file << "version: 1\nlisten:\n  - { address: \"127.0.0.1:" << port_ << "\" }\n";
  for (std::string listener : options.listeners) {
    if (const auto at = listener.find("@DIR"); at != std::string::npos) {
      listener.replace(at, 4, directory_.string());
    }
    file << "  - " << listener << "\n";
  }
  file << "probe: { address: \"127.0.0.1:" << probe_port_ << "\" }\nadmin: "
       << (options.admin ? "{ address: \"127.0.0.1:" + std::to_string(admin_port_) + "\" }" : "off")
       << "\nupstream: " << options.upstream << "\n"
       << options.rest << "\n";
  if (options.policy) {
    std::ofstream(policy_file()) << *options.policy;
    file << "policy: \"" << policy_file().string() << "\"\n";
  }
}

bool PannierProcess::start_once() {
  child_ = start({"serve", "-c", config_file().string()}, directory_);
  const auto listens = [this] {
    try {
      const RawClient client(port_, 1s);
      const RawClient probe(probe_port_, 1s);
      if (admin_port_ != 0) {
        const RawClient admin(admin_port_, 1s);  // the last of them to listen
      }
      return true;
    } catch (const std::runtime_error&) {
      return false;
    }
  };
  return child_.wait_until_ready(listens, kStartLimit);
}

Ended PannierProcess::run(const std::vector<std::string>& arguments,
                          std::chrono::milliseconds limit) {
  const std::filesystem::path directory = make_directory("pannier_test");
  ChildProcess child = start(arguments, directory);
  const auto status = child.wait(limit);
  child.kill();
  Ended ended{status.value_or(-1), read_file(directory / "log")};
  std::filesystem::remove_all(directory);
  if (!status) {
    throw std::runtime_error("pannier does not end: " + ended.output);
  }
  return ended;
}

int PannierProcess::stop(std::chrono::milliseconds limit) {
  signal(SIGTERM);
  const auto status = wait_for_exit(limit);
  if (!status) {
    throw std::runtime_error("pannier does not stop: " + log());
  }
  return *status;
}

std::size_t PannierProcess::resident_bytes() const {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return 0;
#endif
  std::ifstream file("/proc/" + std::to_string(pid()) + "/statm");
  std::size_t total = 0;
  std::size_t resident = 0;
  file >> total >> resident;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

std::string PannierProcess::log() const {
  return read_file(directory_ / "log");
}

std::string PannierProcess::get(std::string_view path) const {
  RawClient client(probe_port_);
  client.send("GET " + std::string(path) + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  return client.read_to_end();
}

std::string PannierProcess::post(std::string_view path, std::string_view header) const {
  RawClient client(admin_port_);
  client.send("POST " + std::string(path) +
              " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n" + std::string(header) +
              "\r\nConnection: close\r\n\r\n");
  return client.read_to_end();
}

std::string PannierProcess::admin(std::string_view method,
                                  std::string_view path,
                                  std::string_view body) const {
  RawClient client(admin_port_);
  client.send(std::string(method) + " " + std::string(path) +
              " HTTP/1.1\r\nHost: localhost\r\nX-Pannier: 1\r\nContent-Length: " +
              std::to_string(body.size()) + "\r\nConnection: close\r\n\r\n" + std::string(body));
  return client.read_to_end();
}

double PannierProcess::metric(std::string_view sample) const {
  std::istringstream lines(get("/metrics"));
  for (std::string line; std::getline(lines, line);) {
    if (line.size() > sample.size() && line.starts_with(sample) && line[sample.size()] == ' ') {
      return std::stod(line.substr(sample.size() + 1));
    }
  }
  return 0;
}

double PannierProcess::metric_sum(std::string_view family, std::string_view label) const {
  std::istringstream lines(get("/metrics"));
  double sum = 0;
  for (std::string line; std::getline(lines, line);) {
    const bool is_it = line.size() > family.size() && line.starts_with(family) &&
                       (line[family.size()] == ' ' || line[family.size()] == '{');
    if (is_it && line.find(label) != std::string::npos) {
      sum += std::stod(line.substr(line.rfind(' ') + 1));
    }
  }
  return sum;
}

}  // namespace pannier::test
