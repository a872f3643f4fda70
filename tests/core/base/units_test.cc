#include "core/base/units.h"

#include <gtest/gtest.h>

#include "core/base/error.h"

namespace regroup {
namespace {

TEST(Units, PrintsAsPeopleWrite) {
  EXPECT_EQ(human_bytes(1536), "1.5 KiB");
  EXPECT_EQ(human_bytes(13.5 * (1 << 30)), "14 GiB");
  EXPECT_EQ(human_count(5868800), "5.87 M");
  EXPECT_EQ(human_seconds(75), "1m15s");
  EXPECT_EQ(human_seconds(7260), "2h01m");
}

TEST(Units, ReadsDecimalAndBinarySizes) {
  EXPECT_EQ(parse_size("5GB", "--x"), 5'000'000'000u);
  EXPECT_EQ(parse_size("500MiB", "--x"), 500u << 20);
  EXPECT_EQ(parse_size("1.5 kb", "--x"), 1500u);
  EXPECT_EQ(parse_size("4096", "--x"), 4096u);
}

TEST(Units, RefusesWhatIsNoSize) {
  for (const char* bad : {"", "GB", "-1GB", "5XB", "1.2.3MB", "0", "."})
    EXPECT_THROW(parse_size(bad, "--max-shard-size"), UserError) << bad;
}

}  // namespace
}  // namespace regroup
