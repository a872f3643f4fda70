#include "core/report/event_file.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"

namespace regroup::report {
namespace {

using testing::TempDir;

constexpr double kTime = 1790000000.25;

std::string hex(std::string_view bytes) {
  std::string digits;
  for (const unsigned char byte : bytes) {
    digits += "0123456789abcdef"[byte >> 4];
    digits += "0123456789abcdef"[byte & 15];
  }
  return digits;
}

TEST(Crc32c, IsThatOfTheStandard) {
  EXPECT_EQ(crc32c(""), 0u);
  EXPECT_EQ(crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aau);  // RFC 3720, B.4
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43u);
}

// As tests/oracle/event_file_golden.py has TensorBoard write it.
TEST(EventFile, EqualsTensorBoardsOwn) {
  const TempDir temporary;
  EventFile file(temporary.path(), kTime, /*first_step=*/7);
  const auto append = [&](std::int64_t step, double seconds, std::vector<Scalar> scalars) {
    file.append(step, kTime + seconds, scalars);
  };
  append(0, 0, {{"loss/validation", 3.5}});
  append(1, 0.5, {{"loss/train", 2.75}, {"learning_rate", 1e-4}});
  append(300, 1.5, {{"loss/train", 0}, {"gradient_norm", 1e-30}});
  append(1'000'000'000'000, 2, {{"loss/train", std::numeric_limits<double>::quiet_NaN()}, {"tokens", 5e9}});
  EXPECT_EQ(hex(read_text(file.path())),
            hex(read_text(REGROUP_SOURCE_DIR "/tests/goldens/event_file/scalars.tfevents")));
}

TEST(EventFile, GrowsByWholeRecords) {
  const TempDir temporary;
  EventFile file(temporary.path(), kTime);
  const std::string name = file.path().filename();
  EXPECT_TRUE(name.starts_with("events.out.tfevents.1790000000.")) << name;
  const std::string version = read_text(file.path());
  EXPECT_EQ(version.size(), 8 + 4 + 9 + 2 + 13 + 4u);
  file.append(1, kTime, std::vector<Scalar>{{"loss", 1}});
  const std::string longer = read_text(file.path());  // while it is open
  EXPECT_TRUE(longer.starts_with(version));
  EXPECT_EQ(longer.size(), version.size() + 8 + 4 + (9 + 2 + 2 + 2 + 6 + 5) + 4);
}

TEST(EventFile, ASecondOneLeavesTheFirstAlone) {
  const TempDir temporary;
  const EventFile one(temporary.path(), kTime), two(temporary.path(), kTime);
  EXPECT_NE(one.path(), two.path());
}

TEST(EventFile, SaysWhereItCannotBeWritten) {
  const TempDir temporary;
  EXPECT_CONTAINS(testing::user_error_of([&] { EventFile(temporary / "nowhere", kTime); }),
                  "cannot be created");
}

}  // namespace
}  // namespace regroup::report
