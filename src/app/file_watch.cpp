#include "file_watch.hpp"

#include "pannier/base/clock.hpp"
#include "pannier/base/log.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <deque>
#include <filesystem>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

namespace pannier::app {
namespace {

namespace fs = std::filesystem;

constexpr int kMostLinks = 40;  // as the kernel follows

constexpr std::uint32_t kEvents = IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_CLOSE_WRITE |
                                  IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF;

void put_in_front(std::deque<fs::path>& parts, const fs::path& path) {
  parts.insert(parts.begin(), path.begin(), path.end());
}

}  // namespace

std::vector<WatchedName> names_behind(const std::string& path) {
  std::error_code error;
  std::vector<WatchedName> out;
  std::deque<fs::path> parts;
  put_in_front(parts, fs::absolute(path, error));
  fs::path at = "/";
  int links = 0;
  while (!parts.empty()) {
    const fs::path part = parts.front();
    parts.pop_front();
    if (part.empty() || part == ".") {
      continue;
    }
    if (part == ".." || part.is_absolute()) {
      at = part == ".." ? at.parent_path() : fs::path("/");
      continue;
    }
    const auto status = fs::symlink_status(at / part, error);
    const bool link = fs::is_symlink(status);
    const bool last = parts.empty() || !fs::exists(status);
    if (link || last) {
      out.push_back({at.string(), part.string()});
    }
    if (link && ++links <= kMostLinks) {
      put_in_front(parts, fs::read_symlink(at / part, error));
    } else if (link || last) {
      break;
    } else {
      at /= part;
    }
  }
  return out;
}

struct FileWatch::Impl : std::enable_shared_from_this<Impl> {
  Impl(boost::asio::io_context& io, std::string file, std::function<void()> told)
      : path(std::move(file)),
        changed(std::move(told)),
        descriptor(io),
        timer(io) {}

  struct Watch {
    int id;
    std::string name;
  };

  // All watches anew: what the path means may lie elsewhere now. To be called before the file is
  // read, so that no change falls between.
  void watch() {
    boost::system::error_code ignored;
    descriptor.close(ignored);
    watches.clear();
    const int fd = ::inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (fd < 0) {
      warn("inotify_init1", errno);
      return;
    }
    descriptor.assign(fd, ignored);
    for (const WatchedName& each : names_behind(path)) {
      const int id = ::inotify_add_watch(fd, each.directory.c_str(), kEvents);
      if (id < 0) {
        warn(each.directory.c_str(), errno);
      } else {
        watches.push_back({id, each.name});
      }
    }
    wait();
  }

  void warn(const char* what, int reason) {
    const std::string text = std::string(what) + ": " + std::strerror(reason);
    if (std::exchange(warned, text) != text) {
      base::log_warn("policy",
                     "changes of {} are not seen: {}; send SIGHUP or POST /reload after a change",
                     path,
                     text);
    }
  }

  void wait() {
    descriptor.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                          [self = weak_from_this()](const boost::system::error_code& error) {
                            const auto impl = self.lock();
                            if (impl && !error) {
                              impl->read();
                            }
                          });
  }

  void read() {
    alignas(inotify_event) std::array<char, 16 * 1024> buffer{};
    bool touched = false;
    for (;;) {
      const auto size = ::read(descriptor.native_handle(), buffer.data(), buffer.size());
      if (size <= 0) {
        break;
      }
      touched =
          concerns(std::string_view(buffer.data(), static_cast<std::size_t>(size))) || touched;
    }
    if (touched) {
      settle();
    }
    wait();
  }

  [[nodiscard]] bool concerns(std::string_view events) const {
    while (!events.empty()) {
      inotify_event event{};
      std::memcpy(&event, events.data(), sizeof(event));
      const int id = event.wd;
      const std::string_view padded = events.substr(sizeof(event), event.len);
      const std::string_view name = padded.substr(0, padded.find('\0'));
      events.remove_prefix(sizeof(event) + event.len);
      // Too many to be told, a watch that ended, or a directory itself.
      if (name.empty() || std::any_of(watches.begin(), watches.end(), [&](const Watch& each) {
            return each.id == id && each.name == name;
          })) {
        return true;
      }
    }
    return false;
  }

  void settle() {
    const auto now = base::Clock::now();
    if (!first) {
      first = now;
    }
    timer.expires_at(std::min(now + std::chrono::milliseconds(kSettleMs),
                              *first + std::chrono::milliseconds(kSettleAtMostMs)));
    timer.async_wait([self = weak_from_this()](const boost::system::error_code& error) {
      const auto impl = self.lock();
      if (impl && !error) {
        impl->first.reset();
        impl->watch();
        impl->changed();
      }
    });
  }

  const std::string path;
  const std::function<void()> changed;
  boost::asio::posix::stream_descriptor descriptor;
  boost::asio::steady_timer timer;
  std::vector<Watch> watches;
  std::optional<base::TimePoint> first;  // of the changes that are not told yet
  std::string warned;
};

FileWatch::FileWatch(boost::asio::io_context& io, std::string path, std::function<void()> changed)
    : impl_(std::make_shared<Impl>(io, std::move(path), std::move(changed))) {
  impl_->watch();
}

FileWatch::~FileWatch() = default;

}  // namespace pannier::app
