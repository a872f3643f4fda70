#include "core/base/memory.h"

#include <gtest/gtest.h>

#include <fstream>

namespace regroup {
namespace {

namespace fs = std::filesystem;

// A machine with 1000 KiB available and the given files.
class Memory : public ::testing::Test {
 protected:
  void SetUp() override { write("proc/meminfo", "MemTotal: 2000 kB\nMemAvailable:    1000 kB\n"); }
  void TearDown() override { fs::remove_all(root_); }
  void write(const std::string& file, const std::string& text) {
    fs::create_directories((root_ / file).parent_path());
    std::ofstream(root_ / file) << text;
  }
  const fs::path root_ = fs::path(::testing::TempDir()) / ("memory_test." + std::to_string(getpid()));
};

TEST_F(Memory, WithoutGroupsIsTheMachines) {
  EXPECT_EQ(available_host_memory(root_), 1000u * 1024);
}

TEST_F(Memory, TheTightestGroupAboveTheProcessCounts) {
  write("proc/self/cgroup", "0::/outer/inner\n");
  write("sys/fs/cgroup/outer/inner/memory.max", "max\n");
  write("sys/fs/cgroup/outer/inner/memory.current", "5000\n");
  EXPECT_EQ(available_host_memory(root_), 1000u * 1024);
  write("sys/fs/cgroup/outer/memory.max", "9000\n");
  write("sys/fs/cgroup/outer/memory.current", "6000\n");
  EXPECT_EQ(available_host_memory(root_), 3000u);
  write("sys/fs/cgroup/outer/memory.stat", "anon 4000\ninactive_file 2000\n");
  EXPECT_EQ(available_host_memory(root_), 5000u);
  write("sys/fs/cgroup/memory.max", "100\n");  // the root of a container
  write("sys/fs/cgroup/memory.current", "200\n");
  EXPECT_EQ(available_host_memory(root_), 0u);
}

TEST_F(Memory, ReadsTheOlderGroups) {
  write("proc/self/cgroup", "12:cpu,memory:/job\n3:pids:/job\n");
  write("sys/fs/cgroup/memory/job/memory.limit_in_bytes", "8000\n");
  write("sys/fs/cgroup/memory/job/memory.usage_in_bytes", "7000\n");
  EXPECT_EQ(available_host_memory(root_), 1000u);
}

TEST_F(Memory, KnowsWhatTheProcessHolds) {
  write("proc/self/status", "Name:\tregroup\nVmHWM:\t    9 kB\nVmRSS:\t    7 kB\n");
  EXPECT_EQ(resident_host_memory(root_), 7u * 1024);
  EXPECT_GT(resident_host_memory(), 1u << 20);
}

}  // namespace
}  // namespace regroup
