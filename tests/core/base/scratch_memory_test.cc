#include "core/base/scratch_memory.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"

namespace regroup {
namespace {

TEST(ScratchMemory, KeepsWhatIsWrittenAndHasNoName) {
  const testing::TempDir folder;
  const std::uint64_t bytes = std::uint64_t{8} << 20;
  const ScratchMemory memory(folder.path(), bytes);
  ASSERT_EQ(memory.bytes().size(), bytes);
  EXPECT_EQ(memory.bytes().back(), std::byte{0});
  std::ranges::fill(memory.bytes(), std::byte{7});
  EXPECT_EQ(std::ranges::count(memory.bytes(), std::byte{7}), static_cast<std::ptrdiff_t>(bytes));
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(ScratchMemory, RefusesWhatTheDiskCannotHold) {
  const testing::TempDir folder;
  EXPECT_CONTAINS(testing::user_error_of([&] { ScratchMemory(folder.path(), std::uint64_t{1} << 60); }),
                  "not enough room for a temporary file");
  EXPECT_CONTAINS(testing::user_error_of([&] { ScratchMemory(folder / "nothing", 1); }),
                  "no temporary file can be written");
}

}  // namespace
}  // namespace regroup
