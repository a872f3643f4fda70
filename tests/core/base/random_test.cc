#include "core/base/random.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

namespace regroup {
namespace {

TEST(RandomStream, IsDeterminedBySeedAndName) {
  EXPECT_EQ(RandomStream(1, "a").bits(), RandomStream(1, "a").bits());
  EXPECT_NE(RandomStream(1, "a").bits(), RandomStream(1, "b").bits());
  EXPECT_NE(RandomStream(1, "a").bits(), RandomStream(2, "a").bits());
}

TEST(RandomStream, NormalHasMeanZeroAndVarianceOne) {
  RandomStream stream(7, "normal");
  double sum = 0, squares = 0;
  constexpr int kDraws = 200000;
  for (int i = 0; i < kDraws; ++i) {
    const double x = stream.normal();
    sum += x, squares += x * x;
  }
  EXPECT_NEAR(sum / kDraws, 0, 5 / std::sqrt(kDraws));
  EXPECT_NEAR(squares / kDraws, 1, 5 * std::sqrt(2. / kDraws));
}

TEST(PermuteIndex, IsAPermutationOfEverySize) {
  for (const std::uint64_t size : {1u, 2u, 3u, 7u, 64u, 1000u, 4097u}) {
    std::set<std::uint64_t> images;
    for (std::uint64_t i = 0; i < size; ++i) {
      const std::uint64_t image = permute_index(i, size, 42);
      EXPECT_LT(image, size);
      images.insert(image);
    }
    EXPECT_EQ(images.size(), size);
  }
}

TEST(PermuteIndex, KeysGiveDifferentOrders) {
  int same = 0;
  for (std::uint64_t i = 0; i < 1000; ++i) same += permute_index(i, 1000, 1) == permute_index(i, 1000, 2);
  EXPECT_LT(same, 20);
}

}  // namespace
}  // namespace regroup
