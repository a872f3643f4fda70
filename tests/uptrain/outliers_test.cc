#include "uptrain/outliers.h"

#include <gtest/gtest.h>

namespace regroup::uptrain {
namespace {

Outliers after(int steps) {
  Outliers outliers;
  for (int i = 0; i < steps; ++i) EXPECT_FALSE(outliers.skips(3 + 0.01 * (i % 5), 1 + 0.1 * (i % 3), 6));
  return outliers;
}

TEST(Outliers, AreFarAboveTheLastSteps) {
  EXPECT_FALSE(after(50).skips(3.04, 1.2, 6));
  EXPECT_TRUE(after(50).skips(3.5, 1.2, 6));
  EXPECT_TRUE(after(50).skips(3.04, 5, 6));
  EXPECT_FALSE(after(50).skips(1, 0.1, 6)) << "below is good";
  EXPECT_FALSE(after(50).skips(100, 100, 0)) << "off";
}

TEST(Outliers, NeedStepsToStandOutFrom) {
  EXPECT_FALSE(after(Outliers::kFewest - 1).skips(100, 100, 6));
  EXPECT_TRUE(after(Outliers::kFewest).skips(100, 100, 6));
  Outliers forgotten = after(50);
  forgotten.forget();
  EXPECT_FALSE(forgotten.skips(100, 100, 6));
}

TEST(Outliers, OldStepsAreForgotten) {
  Outliers outliers;
  for (int i = 0; i < 100; ++i) outliers.skips(100 + i, 100 + i, 0);
  for (std::size_t i = 0; i < Outliers::kRemembered; ++i) outliers.skips(3 + 0.01 * double(i % 5), 1, 0);
  EXPECT_TRUE(outliers.skips(50, 1, 6));
}

// A run whose loss has risen for good goes on.
TEST(Outliers, AnotherLevelIsNoOutlierForLong) {
  Outliers outliers = after(50);
  int skipped = 0;
  for (int i = 0; i < 200; ++i) skipped += outliers.skips(3.5 + 0.01 * (i % 5), 1, 6);
  EXPECT_GE(skipped, 2);
  EXPECT_LT(skipped, 20);
  EXPECT_TRUE(outliers.skips(5, 1, 6)) << "it has got used to this one";
}

TEST(Outliers, SurviveAFile) {
  Outliers outliers = after(40);
  EXPECT_TRUE(outliers.skips(9, 1, 6));
  EXPECT_TRUE(outliers.skips(9, 1, 6));
  Outliers kept = Outliers::from_json(parse_json(outliers.to_json().dump(), "state"));
  EXPECT_EQ(kept.to_json(), outliers.to_json());
  EXPECT_FALSE(kept.skips(9, 1, 6)) << "the third in a row";
}

}  // namespace
}  // namespace regroup::uptrain
