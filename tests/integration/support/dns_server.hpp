#pragma once

#include "child_process.hpp"

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace pannier::test {

// A real name server, dnsmasq, on a free port of 127.0.0.1, that knows only what it is told here;
// names below .test that it does not know do not exist. Answers have a TTL of 1 s. Answers when the
// constructor returns; ended by the destructor, and by the kernel should the thread that started it
// die. Not thread-safe. Failures throw std::runtime_error.
class DnsServer {
 public:
  using Hosts = std::map<std::string, std::vector<std::string>>;  // name -> addresses
  using Aliases = std::map<std::string, std::string>;             // name -> canonical name

  explicit DnsServer(Hosts hosts, Aliases aliases = {});
  ~DnsServer();
  DnsServer(const DnsServer&) = delete;
  DnsServer& operator=(const DnsServer&) = delete;

  [[nodiscard]] std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

  // Read again at once, without a gap.
  void set_hosts(Hosts hosts);
  // By a restart on the same port.
  void set_aliases(Aliases aliases);
  void restart();

  void kill() { child_.kill(); }

  void freeze() { child_.freeze(); }  // questions are not answered

  void thaw() const { child_.thaw(); }

 private:
  void write_hosts() const;
  void start();
  [[nodiscard]] bool answers() const;

  Hosts hosts_;
  Aliases aliases_;
  std::filesystem::path directory_;
  int port_ = 0;
  ChildProcess child_;
};

}  // namespace pannier::test
