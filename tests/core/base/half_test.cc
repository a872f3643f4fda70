#include "core/base/half.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace regroup {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

TEST(Half, EveryOneSurvivesTheWayToFloat32AndBack) {
  for (std::uint32_t half = 0; half < 0x10000; ++half) {
    const float value = half_to_float(static_cast<std::uint16_t>(half));
    if ((half & 0x7C00) == 0x7C00 && (half & 0x3FF) != 0) {
      EXPECT_TRUE(std::isnan(value)) << half;
      EXPECT_TRUE(std::isnan(half_to_float(float_to_half(value)))) << half;
    } else {
      EXPECT_EQ(float_to_half(value), half);
    }
  }
  EXPECT_EQ(half_to_float(0x3C00), 1.0F);
  EXPECT_EQ(half_to_float(0xC580), -5.5F);
  EXPECT_EQ(half_to_float(0x0001), 0x1p-24F);
  EXPECT_EQ(half_to_float(0x7BFF), 65504.0F);
  EXPECT_EQ(half_to_float(0xFC00), -kInfinity);
}

// Between each two neighbours: the middle goes to the even one, everything else to the nearer.
TEST(Half, RoundsToNearestTiesToEven) {
  for (std::uint16_t half = 0; half < 0x7BFF; ++half) {
    const std::uint16_t next = half + 1, even = half % 2 == 0 ? half : next;
    const float middle = (half_to_float(half) + half_to_float(next)) / 2;
    ASSERT_EQ(float_to_half(middle), even) << half;
    ASSERT_EQ(float_to_half(std::nextafter(middle, 0.0F)), half) << half;
    ASSERT_EQ(float_to_half(std::nextafter(middle, kInfinity)), next) << half;
    ASSERT_EQ(float_to_half(-middle), even | 0x8000) << half;
  }
  EXPECT_EQ(float_to_half(std::nextafter(65520.0F, 0.0F)), 0x7BFF);
  EXPECT_EQ(float_to_half(65520.0F), 0x7C00);
  EXPECT_EQ(float_to_half(std::numeric_limits<float>::max()), 0x7C00);
  EXPECT_EQ(float_to_half(std::numeric_limits<float>::denorm_min()), 0);
}

TEST(BFloat16, RoundsToNearestTiesToEven) {
  for (std::uint16_t stored = 0x0100; stored < 0x7F7F; ++stored) {
    const std::uint16_t next = stored + 1, even = stored % 2 == 0 ? stored : next;
    const float low = bfloat16_to_float(stored), middle = low + (bfloat16_to_float(next) - low) / 2;
    ASSERT_EQ(float_to_bfloat16(low), stored);
    ASSERT_EQ(float_to_bfloat16(middle), even) << stored;
    ASSERT_EQ(float_to_bfloat16(std::nextafter(middle, 0.0F)), stored) << stored;
    ASSERT_EQ(float_to_bfloat16(std::nextafter(-middle, -kInfinity)), next | 0x8000) << stored;
  }
  EXPECT_EQ(bfloat16_to_float(0x3F80), 1.0F);
  EXPECT_EQ(float_to_bfloat16(kInfinity), 0x7F80);
  EXPECT_TRUE(std::isnan(bfloat16_to_float(float_to_bfloat16(std::nanf("")))));
}

}  // namespace
}  // namespace regroup
