#include "dns_server.hpp"

#include "redis_server.hpp"

#include <arpa/inet.h>
#include <grp.h>
#include <netinet/in.h>
#include <pwd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <fstream>
#include <stdexcept>
#include <string_view>
#include <utility>

namespace pannier::test {
namespace {

using namespace std::chrono_literals;

constexpr auto kStartLimit = 10s;
constexpr std::string_view kProgram = "/usr/sbin/dnsmasq";

std::string own_user() {
  const passwd* entry = ::getpwuid(::getuid());  // NOLINT(concurrency-mt-unsafe)
  return entry == nullptr ? "root" : entry->pw_name;
}

std::string own_group() {
  const group* entry = ::getgrgid(::getgid());  // NOLINT(concurrency-mt-unsafe)
  return entry == nullptr ? "root" : entry->gr_name;
}

}  // namespace

DnsServer::DnsServer(Hosts hosts, Aliases aliases)
    : hosts_(std::move(hosts)),
      aliases_(std::move(aliases)),
      directory_(make_directory("pannier_dns")),
      port_(free_port()) {
  write_hosts();
  try {
    start();
  } catch (...) {
    child_.kill();
    std::filesystem::remove_all(directory_);
    throw;
  }
}

DnsServer::~DnsServer() {
  child_.kill();
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

void DnsServer::set_hosts(Hosts hosts) {
  hosts_ = std::move(hosts);
  write_hosts();
  child_.signal(SIGHUP);
}

void DnsServer::set_aliases(Aliases aliases) {
  aliases_ = std::move(aliases);
  restart();
}

void DnsServer::restart() {
  child_.kill();
  start();
}

void DnsServer::write_hosts() const {
  const auto fresh = directory_ / "hosts.new";
  std::ofstream file(fresh);
  file << "127.0.0.1 ready.test\n";
  for (const auto& [name, addresses] : hosts_) {
    for (const std::string& address : addresses) {
      file << address << ' ' << name << '\n';
    }
  }
  file.close();
  std::filesystem::rename(fresh, directory_ / "hosts");
}

void DnsServer::start() {
  std::vector<std::string> words{
      std::string(kProgram),
      "--keep-in-foreground",
      "--conf-file=/dev/null",
      "--pid-file",
      // It would take others, and the kernel would then forget to end it with its parent.
      "--user=" + own_user(),
      "--group=" + own_group(),
      "--port=" + std::to_string(port_),
      "--listen-address=127.0.0.1",
      "--bind-interfaces",
      "--no-resolv",
      "--no-hosts",
      "--local-ttl=1",
      "--local=/test/",
      "--addn-hosts=" + (directory_ / "hosts").string(),
      "--log-facility=" + (directory_ / "dnsmasq.log").string(),
  };
  for (const auto& [name, target] : aliases_) {
    words.push_back("--cname=" + name + "," + target + ",1");
  }
  child_ = ChildProcess(std::move(words));
  if (!child_.wait_until_ready([this] { return answers(); }, kStartLimit)) {
    throw std::runtime_error("dnsmasq does not start; scripts/install_deps.sh --test has it");
  }
}

// Asks for the address of ready.test, and waits a moment for any answer; the socket is not
// connected, so a port that nobody has yet is no error that would end the wait.
bool DnsServer::answers() const {
  static constexpr std::string_view kQuestion(
      "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x05ready\x04test\x00\x00\x01\x00\x01", 28);
  const int descriptor = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const timeval limit{0, 20'000};
  ::setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port_));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::array<char, 512> reply{};
  const bool sent = ::sendto(descriptor,
                             kQuestion.data(),
                             kQuestion.size(),
                             0,
                             reinterpret_cast<const sockaddr*>(&address),
                             sizeof(address)) > 0;
  const bool answered = sent && ::recv(descriptor, reply.data(), reply.size(), 0) > 0;
  ::close(descriptor);
  return answered;
}

}  // namespace pannier::test
