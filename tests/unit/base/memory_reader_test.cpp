#include "memory_reader.hpp"

#include <catch2/catch.hpp>
#include <unistd.h>

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <string>

using pannier::base::memory_reader_below;
using pannier::base::MemoryReading;

namespace {

constexpr std::size_t kMiB = 1024UL * 1024;
constexpr std::size_t kLimit = 128 * kMiB;

// As Linux 6.1 writes it; 40 MiB of files that can be reclaimed at once.
constexpr const char* kStatV2 =
    "anon 65011712\nfile 60817408\nkernel 1122304\nkernel_stack 49152\npagetables 335872\n"
    "sec_pagetables 0\npercpu 7104\nsock 4096\nvmalloc 0\nshmem 0\nzswap 0\nzswapped 0\n"
    "file_mapped 4096\nfile_dirty 0\nfile_writeback 0\nswapcached 0\nanon_thp 0\nfile_thp 0\n"
    "shmem_thp 0\ninactive_anon 64954368\nactive_anon 57344\ninactive_file 41943040\n"
    "active_file 18874368\nunevictable 0\nslab_reclaimable 430080\nslab_unreclaimable 257912\n"
    "slab 687992\nworkingset_refault_anon 0\npgfault 30312\n";

// As version 1 does: the group's own figures first, then those with all groups below it.
constexpr const char* kStatV1 =
    "cache 12771328\nrss 7004160\ninactive_anon 0\nactive_anon 1531904\ninactive_file 233472\n"
    "active_file 3452928\nhierarchical_memory_limit 134217728\ntotal_cache 60817408\n"
    "total_rss 65011712\ntotal_inactive_anon 942915584\ntotal_active_anon 1679360\n"
    "total_inactive_file 41943040\ntotal_active_file 18874368\ntotal_unevictable 0\n";

// A folder with the kernel's files in it.
class System {
 public:
  System() : root_("/tmp/pannier_memory_reader_test." + std::to_string(::getpid())) {
    std::filesystem::remove_all(root_);
    write("proc/self/statm", "150000 2560 1800 700 0 30000 0\n");
  }

  ~System() { std::filesystem::remove_all(root_); }

  System(const System&) = delete;
  System& operator=(const System&) = delete;

  void write(const std::string& path, const std::string& text) const {
    const std::filesystem::path file = root_ / path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }

  void write_v2(const std::string& folder) const {
    write("sys/fs/cgroup/" + folder + "memory.current", "125829120\n");
    write("sys/fs/cgroup/" + folder + "memory.stat", kStatV2);
  }

  void write_v1(const std::string& folder) const {
    write("sys/fs/cgroup/memory/" + folder + "memory.usage_in_bytes", "125829120\n");
    write("sys/fs/cgroup/memory/" + folder + "memory.stat", kStatV1);
  }

  [[nodiscard]] std::string root() const { return root_.string(); }

 private:
  std::filesystem::path root_;
};

void check_80_mib_in_use(const MemoryReading& reading) {
  CHECK(reading.group == 80 * kMiB);
  CHECK(reading.group_limit == kLimit);
}

}  // namespace

TEST_CASE("memory reader: a cgroup of version 2, by the host's path or at the mount's top",
          "[base]") {
  const System system;
  system.write("proc/self/cgroup", "0::/kubepods.slice/pod1\n");
  const bool sees_host = GENERATE(true, false);
  if (sees_host) {
    system.write_v2("kubepods.slice/pod1/");
    system.write("sys/fs/cgroup/memory.current", "1\n");
  } else {
    system.write_v2("");
  }
  const auto read = memory_reader_below(system.root(), kLimit);
  check_80_mib_in_use(read());
  // The files stay open, and say what is now.
  const std::string folder = sees_host ? "kubepods.slice/pod1/" : "";
  system.write("sys/fs/cgroup/" + folder + "memory.current", "130023424\n");
  CHECK(read().group == 84 * kMiB);
  system.write("sys/fs/cgroup/" + folder + "memory.current", "1000\n");
  CHECK(read().group == 0);  // the two files are not of one moment
}

TEST_CASE("memory reader: a cgroup of version 1, also where version 2 is mounted beside it",
          "[base]") {
  const System system;
  const bool is_hybrid = GENERATE(true, false);
  system.write("proc/self/cgroup",
               std::string("5:cpu,cpuacct:/pod1\n4:memory:/pod1\n") + (is_hybrid ? "0::/\n" : ""));
  const bool sees_host = GENERATE(true, false);
  system.write_v1(sees_host ? "pod1/" : "");
  check_80_mib_in_use(memory_reader_below(system.root(), kLimit)());
}

TEST_CASE("memory reader: without a limit or without files the group says nothing", "[base]") {
  const System system;
  system.write("proc/self/cgroup", "0::/\n");
  CHECK(memory_reader_below(system.root(), kLimit)().group_limit == 0);
  system.write_v2("");
  CHECK(memory_reader_below(system.root(), 0)().group_limit == 0);
  CHECK(memory_reader_below(system.root(), 0)().group == 0);
}

TEST_CASE("memory reader: resident memory is counted in pages", "[base]") {
  const System system;
  const MemoryReading reading = memory_reader_below(system.root(), 0)();
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  CHECK(reading.resident == 0);  // most of it would be the sanitizer's
#else
  CHECK(reading.resident == 2560 * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)));
#endif
}
