#include "deaf_crowd.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <stdexcept>

namespace pannier::test {
namespace {

void raise_open_files() {
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
}

int connect_deaf(int port) {
  const int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int small = 4096;
  ::setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    const std::string why = std::strerror(errno);
    ::close(descriptor);
    throw std::runtime_error("a client could not connect: " + why);
  }
  ::fcntl(descriptor, F_SETFL, ::fcntl(descriptor, F_GETFL) | O_NONBLOCK);
  return descriptor;
}

}  // namespace

DeafCrowd::DeafCrowd(int port, std::size_t count) {
  raise_open_files();
  members_.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    members_.push_back({connect_deaf(port), {}, 0, false});
  }
}

DeafCrowd::~DeafCrowd() {
  for (const Member& member : members_) {
    ::close(member.descriptor);
  }
}

void DeafCrowd::tell_all(std::string_view text, std::size_t times) {
  for (std::size_t i = 0; i < members_.size(); ++i) {
    tell(i, text, times);
  }
}

void DeafCrowd::tell(std::size_t who, std::string_view text, std::size_t times) {
  members_[who].speeches.push_back({text, times});
}

void DeafCrowd::say(Member& member) {
  while (!member.speeches.empty()) {
    Speech& speech = member.speeches.front();
    const std::string_view rest = speech.text.substr(member.at);
    const auto n = ::send(member.descriptor, rest.data(), rest.size(), MSG_NOSIGNAL);
    if (n < 0) {
      if (errno != EAGAIN && errno != EINTR) {
        member.ended = true;
        member.speeches.clear();
      }
      return;
    }
    member.at += static_cast<std::size_t>(n);
    if (member.at == speech.text.size()) {
      member.at = 0;
      if (--speech.times == 0) {
        member.speeches.erase(member.speeches.begin());
      }
    }
  }
}

void DeafCrowd::speak(std::chrono::milliseconds limit) {
  const auto until = std::chrono::steady_clock::now() + limit;
  while (std::chrono::steady_clock::now() < until) {
    std::vector<pollfd> wishes;
    std::vector<Member*> speakers;
    for (Member& member : members_) {
      if (!member.speeches.empty()) {
        wishes.push_back({member.descriptor, POLLOUT, 0});
        speakers.push_back(&member);
      }
    }
    if (wishes.empty()) {
      return;
    }
    static_cast<void>(::poll(wishes.data(), wishes.size(), 50));
    for (std::size_t i = 0; i < wishes.size(); ++i) {
      if (wishes[i].revents != 0) {
        say(*speakers[i]);
      }
    }
  }
}

std::size_t DeafCrowd::count_closed() {
  std::array<char, 65536> bytes{};
  for (Member& member : members_) {
    while (!member.ended) {
      const auto n = ::recv(member.descriptor, bytes.data(), bytes.size(), MSG_DONTWAIT);
      if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        break;
      }
      member.ended = n <= 0;
    }
  }
  return static_cast<std::size_t>(std::count_if(
      members_.begin(), members_.end(), [](const Member& member) { return member.ended; }));
}

std::vector<std::string> DeafCrowd::first_lines(std::chrono::milliseconds limit) {
  std::vector<std::string> out;
  const auto until = std::chrono::steady_clock::now() + limit;
  for (const Member& member : members_) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        until - std::chrono::steady_clock::now());
    pollfd wish{member.descriptor, POLLIN, 0};
    std::array<char, 4096> bytes{};
    std::string line;
    if (::poll(&wish, 1, std::max(0, static_cast<int>(left.count()))) > 0) {
      const auto n = ::recv(member.descriptor, bytes.data(), bytes.size(), MSG_DONTWAIT);
      line.assign(bytes.data(), n > 0 ? static_cast<std::size_t>(n) : 0);
    }
    out.push_back(line.substr(0, line.find("\r\n")));
  }
  return out;
}

}  // namespace pannier::test
