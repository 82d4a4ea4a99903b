#include "memory_reader.hpp"

#include "pannier/base/bytes.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>

// What the system says of the process's memory. The files stay open: a reading is one pread each.
namespace pannier::base {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kResidentSaysSomething = false;  // most of it is the sanitizer's
#else
constexpr bool kResidentSaysSomething = true;
#endif

class SystemFile {
 public:
  explicit SystemFile(const std::string& path)
      : descriptor_(path.empty() ? -1 : ::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}

  ~SystemFile() {
    if (descriptor_ >= 0) {
      ::close(descriptor_);
    }
  }

  SystemFile(const SystemFile&) = delete;
  SystemFile& operator=(const SystemFile&) = delete;

  // Its beginning; empty when it cannot be read.
  [[nodiscard]] std::string_view read() {
    const auto n = descriptor_ < 0 ? -1 : ::pread(descriptor_, text_.data(), text_.size(), 0);
    return {text_.data(), n > 0 ? static_cast<std::size_t>(n) : 0};
  }

  [[nodiscard]] bool is_open() const { return descriptor_ >= 0; }

 private:
  int descriptor_;
  std::array<char, 4096> text_{};
};

std::size_t number_at(std::string_view text) {
  const auto end = text.find_first_not_of("0123456789");
  return static_cast<std::size_t>(
      std::max<std::int64_t>(0, parse_int(text.substr(0, end)).value_or(0)));
}

// The line "NAME number".
std::size_t field(std::string_view text, const std::string& name) {
  const auto begin = text.starts_with(name) ? 0 : text.find("\n" + name);
  if (begin == std::string_view::npos) {
    return 0;
  }
  return number_at(text.substr(begin + name.size() + (begin == 0 ? 0 : 1)));
}

struct GroupFiles {
  std::string used;
  std::string details;
  std::string reclaimable;  // its field there
};

bool is_there(const std::string& path) {
  return ::access(path.c_str(), R_OK) == 0;
}

// In a container the path of the host may not exist: then the mount's top is our own group.
GroupFiles group_files(const std::string& root) {
  std::ifstream file(root + "/proc/self/cgroup");
  std::string v1;
  std::string v2;
  for (std::string line; std::getline(file, line);) {
    const auto path = line.rfind(':');
    if (path == std::string::npos) {
      continue;
    }
    if (line.starts_with("0::")) {
      v2 = line.substr(path + 1);
    } else if (line.find(":memory:") != std::string::npos) {
      v1 = line.substr(path + 1);
    }
  }
  const std::string mount = root + "/sys/fs/cgroup";
  for (const std::string& folder : {mount + v2, mount}) {
    if (is_there(folder + "/memory.current")) {
      return {folder + "/memory.current", folder + "/memory.stat", "inactive_file "};
    }
  }
  const std::string memory = mount + "/memory";
  for (const std::string& folder : {memory + v1, memory}) {
    if (is_there(folder + "/memory.usage_in_bytes")) {
      return {folder + "/memory.usage_in_bytes", folder + "/memory.stat", "total_inactive_file "};
    }
  }
  return {};
}

struct Reader {
  Reader(const std::string& root, std::size_t group_limit)
      : limit(group_limit),
        group(group_limit == 0 ? GroupFiles{} : group_files(root)),
        own(root + "/proc/self/statm"),
        used(group.used),
        details(group.details) {}

  MemoryReading read() {
    MemoryReading out;
    const std::string_view text = own.read();
    const auto second = text.find(' ');
    if (kResidentSaysSomething && second != std::string_view::npos) {
      out.resident = number_at(text.substr(second + 1)) * page;
    }
    if (used.is_open()) {
      out.group_limit = limit;
      out.group = number_at(used.read());
      out.group -= std::min(out.group, field(details.read(), group.reclaimable));
    }
    return out;
  }

  const std::size_t page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  const std::size_t limit;
  const GroupFiles group;
  SystemFile own;
  SystemFile used;
  SystemFile details;
};

}  // namespace

std::function<MemoryReading()> memory_reader_below(const std::string& root,
                                                   std::size_t group_limit) {
  return [reader = std::make_shared<Reader>(root, group_limit)] {
    return reader->read();
  };
}

std::function<MemoryReading()> system_memory_reader(std::size_t group_limit) {
  return memory_reader_below("", group_limit);
}

}  // namespace pannier::base
