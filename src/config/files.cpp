#include "files.hpp"

#include "pannier/base/bytes.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string_view>
#include <system_error>

namespace pannier::config {
namespace {

// Closes on every way out.
class File {
 public:
  // Non-blocking, so that opening a pipe without a writer does not wait.
  explicit File(const std::string& path)
      : fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {}

  ~File() {
    if (fd_ >= 0) {
      ::close(fd_);
    }
  }

  File(const File&) = delete;
  File& operator=(const File&) = delete;

  [[nodiscard]] int fd() const { return fd_; }

 private:
  int fd_;
};

std::string reason() {
  return std::generic_category().message(errno);
}

}  // namespace

std::string resolve_path(const std::string& directory, const std::string& name) {
  if (name.starts_with('/') || directory.empty()) {
    return name;
  }
  return directory + (directory.ends_with('/') ? "" : "/") + name;
}

std::optional<std::string> read_small_file(const std::string& path,
                                           std::size_t limit,
                                           std::string& problem) {
  const File file(path);

  struct stat status {};

  if (file.fd() < 0 || ::fstat(file.fd(), &status) != 0) {
    problem = reason();
    return std::nullopt;
  }
  if (!S_ISREG(status.st_mode)) {
    problem = "is not a regular file";
    return std::nullopt;
  }
  std::string text;
  std::array<char, 16 * 1024> piece{};
  while (text.size() <= limit) {
    const auto n = ::read(file.fd(), piece.data(), piece.size());
    if (n < 0) {
      problem = reason();
      return std::nullopt;
    }
    if (n == 0) {
      return text;
    }
    text.append(piece.data(), static_cast<std::size_t>(n));
  }
  problem = "is larger than " + base::human_bytes(limit);
  return std::nullopt;
}

}  // namespace pannier::config
