#include "environment.hpp"

#include "config_test_support.hpp"

#include <catch2/catch.hpp>

using namespace pannier::config;  // NOLINT(google-build-using-namespace)

TEST_CASE("environment: version 2 takes the tightest limit from the own group upwards",
          "[config]") {
  const Folder root;
  root.write("proc/self/cgroup", "0::/a/b\n");
  root.write("sys/fs/cgroup/a/b/memory.max", "max\n");
  root.write("sys/fs/cgroup/a/memory.max", "1000000\n");
  root.write("sys/fs/cgroup/a/b/cpu.max", "150000 100000\n");
  root.write("sys/fs/cgroup/a/cpu.max", "max 100000\n");
  const auto limits = read_cgroup_limits(root.path());
  CHECK(limits.memory == 1000000U);
  CHECK(limits.cpus == 1.5);
}

TEST_CASE("environment: in a container the mount's top is the own group", "[config]") {
  const Folder root;
  root.write("proc/self/cgroup", "0::/../pod/container\n");
  root.write("sys/fs/cgroup/memory.max", "536870912\n");
  root.write("sys/fs/cgroup/cpu.max", "50000 100000\n");
  const auto limits = read_cgroup_limits(root.path());
  CHECK(limits.memory == 536870912U);
  CHECK(limits.cpus == 0.5);
}

TEST_CASE("environment: version 1 answers where version 2 does not", "[config]") {
  const Folder root;
  root.write("proc/self/cgroup",
             "9:name=systemd:/x\n4:cpu,cpuacct:/docker/1\n3:memory:/docker/1\n0::/x\n");
  root.write("sys/fs/cgroup/memory/memory.limit_in_bytes", "2000000\n");
  root.write("sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes", "9223372036854771712\n");
  root.write("sys/fs/cgroup/cpu/docker/1/cpu.cfs_quota_us", "200000\n");
  root.write("sys/fs/cgroup/cpu/docker/1/cpu.cfs_period_us", "100000\n");
  const auto limits = read_cgroup_limits(root.path());
  CHECK(limits.memory == 2000000U);
  CHECK(limits.cpus == 2.0);
}

TEST_CASE("environment: without a cgroup there are no limits", "[config]") {
  const Folder root;
  const auto limits = read_cgroup_limits(root.path());
  CHECK_FALSE(limits.memory);
  CHECK_FALSE(limits.cpus);
  root.write("proc/self/cgroup", "nonsense\n0::/\n");
  root.write("sys/fs/cgroup/cpu.max", "x\n");
  CHECK_FALSE(read_cgroup_limits(root.path()).cpus);
}

TEST_CASE("environment: the real one knows variables and processors", "[config]") {
  const auto environment = real_environment();
  CHECK(environment.variable("PATH"));
  CHECK_FALSE(environment.variable("PANNIER_NO_SUCH_VARIABLE"));
  CHECK(environment.processors >= 1);
}
