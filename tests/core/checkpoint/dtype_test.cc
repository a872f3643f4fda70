#include "core/checkpoint/dtype.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace regroup::checkpoint {
namespace {

constexpr std::size_t kElements = 37;  // vectors of any width, and some left over

// Elements that are all `usual`, but for the one at `place`.
template <typename Bits>
std::vector<std::byte> elements(Bits usual, Bits odd, std::size_t place) {
  std::vector<Bits> values(kElements, usual);
  values[place] = odd;
  const auto bytes = std::as_bytes(std::span(values));
  return {bytes.begin(), bytes.end()};
}

struct Float {
  DType dtype;
  std::uint64_t largest, infinity, nan;  // bits, without the sign
};
constexpr Float kFloats[] = {{DType::kF16, 0x7bff, 0x7c00, 0x7c01},
                             {DType::kBF16, 0x7f7f, 0x7f80, 0x7fc0},
                             {DType::kF32, 0x7f7fffff, 0x7f800000, 0x7f800001},
                             {DType::kF64, 0x7fefffffffffffff, 0x7ff0000000000000, 0x7ff0000000000001}};

template <typename Bits>
void expect_finds_each(const Float& type) {
  const Bits sign = static_cast<Bits>(Bits{1} << (8 * sizeof(Bits) - 1));
  const Bits largest = static_cast<Bits>(type.largest | sign);
  for (std::size_t place = 0; place < kElements; ++place) {
    EXPECT_TRUE(all_finite(elements<Bits>(0, largest, place), type.dtype)) << dtype_name(type.dtype);
    for (const std::uint64_t bits : {type.infinity, type.nan, type.infinity | sign, type.nan | sign})
      EXPECT_FALSE(all_finite(elements<Bits>(largest, static_cast<Bits>(bits), place), type.dtype))
          << dtype_name(type.dtype) << " " << bits << " at " << place;
  }
}

TEST(DType, FindsNaNAndInfinityInStoredBytes) {
  for (const Float& type : kFloats)
    if (dtype_bits(type.dtype) == 16)
      expect_finds_each<std::uint16_t>(type);
    else if (dtype_bits(type.dtype) == 32)
      expect_finds_each<std::uint32_t>(type);
    else
      expect_finds_each<std::uint64_t>(type);
}

TEST(DType, IntegersAreFinite) {
  EXPECT_TRUE(all_finite(std::vector<std::byte>(64, std::byte{0xff}), DType::kI64));
}

TEST(DType, ConfigCallsPlainFloatsByTheirLongNames) {
  EXPECT_EQ(config_dtype_name(DType::kF64), "float64");
  EXPECT_EQ(config_dtype_name(DType::kF32), "float32");
  EXPECT_EQ(config_dtype_name(DType::kF16), "float16");
  EXPECT_EQ(config_dtype_name(DType::kBF16), "bfloat16");
}

}  // namespace
}  // namespace regroup::checkpoint
