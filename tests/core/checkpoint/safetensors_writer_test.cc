#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <numeric>
#include <string>

#include "core/checkpoint/safetensors.h"
#include "tests/support/checkpoint_files.h"
#include "tests/support/temp_dir.h"

namespace regroup::checkpoint {
namespace {

using testing::file_bytes;
using testing::message_of;
using testing::TempDir;

const std::filesystem::path kGoldens = REGROUP_SOURCE_DIR "/tests/goldens/checkpoint";

std::vector<std::byte> pattern(std::size_t size) {
  std::vector<std::byte> bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i * 7 + i / 1000);
  return bytes;
}

std::vector<TensorInfo> bytes_tensor(std::int64_t size) {
  return {TensorInfo{"t", DType::kU8, {size}}};
}

TEST(SafetensorsWriter, WritesTheBytesOfTheReference) {
  const TensorFile golden = open_safetensors(kGoldens / "all_dtypes.safetensors");
  std::vector<TensorInfo> tensors = golden.header().tensors;
  std::ranges::sort(tensors, {}, &TensorInfo::name);
  sort_as_reference(tensors);
  const TempDir directory;
  SafetensorsWriter writer(directory / "m.safetensors", tensors, golden.header().metadata);
  for (const TensorInfo& tensor : tensors) {
    std::vector<std::byte> bytes(tensor.bytes());
    golden.read(tensor, 0, bytes);
    writer.append(bytes);
  }
  EXPECT_EQ(writer.finish(), sha256_of_file(kGoldens / "all_dtypes.safetensors"));
  EXPECT_EQ(file_bytes(directory / "m.safetensors"), file_bytes(kGoldens / "all_dtypes.safetensors"));
}

TEST(SafetensorsWriter, WritesFilesWithoutTensors) {
  const TempDir directory;
  SafetensorsWriter(directory / "m.safetensors", {}, {}).finish();
  EXPECT_EQ(file_bytes(directory / "m.safetensors"), std::string("\x08\0\0\0\0\0\0\0{}      ", 16));
}

TEST(SafetensorsWriter, WantsExactlyTheAnnouncedBytes) {
  const TempDir directory;
  SafetensorsWriter few(directory / "few", bytes_tensor(10), {});
  few.append(pattern(9));
  EXPECT_THROW(few.finish(), InternalError);
  SafetensorsWriter many(directory / "many", bytes_tensor(10), {});
  EXPECT_THROW(many.append(pattern(11)), InternalError);
}

TEST(SafetensorsWriter, RefusesAnExistingFile) {
  const TempDir directory;
  testing::write_file(directory / "m", "mine");
  EXPECT_EQ(message_of([&] { SafetensorsWriter(directory / "m", {}, {}); }),
            (directory / "m").string() + ": cannot be created: found File exists");
  EXPECT_EQ(file_bytes(directory / "m"), "mine");
}

// A limit on the size of files stands for a disk that fills up.
TEST(SafetensorsWriter, ReportsAFailedWriteAndStops) {
  const TempDir directory;
  const pid_t child = fork();
  if (child == 0) {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{10 << 20, 10 << 20};
    setrlimit(RLIMIT_FSIZE, &limit);
    const std::string expected = (directory / "m").string() + ": cannot be written: found File too large";
    int refused = 0;
    try {
      SafetensorsWriter writer(directory / "m", bytes_tensor(20 << 20), {});
      writer.append(pattern(20 << 20));
      writer.finish();
    } catch (const UserError& error) {
      refused += error.what() == expected;
    }
    _exit(refused);
  }
  int status = 0;
  waitpid(child, &status, 0);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 1);
}

}  // namespace
}  // namespace regroup::checkpoint
