#include "uptrain/outliers.h"

#include <gtest/gtest.h>

namespace regroup::uptrain {
namespace {

Outliers after(int steps) {
  Outliers outliers;
  for (int i = 0; i < steps; ++i) outliers.remember(3 + 0.01 * (i % 5), 1 + 0.1 * (i % 3));
  return outliers;
}

TEST(Outliers, AreFarAboveTheLastSteps) {
  const Outliers outliers = after(50);
  EXPECT_FALSE(outliers.stands_out(3.04, 1.2, 6));
  EXPECT_TRUE(outliers.stands_out(3.5, 1.2, 6));
  EXPECT_TRUE(outliers.stands_out(3.04, 5, 6));
  EXPECT_FALSE(outliers.stands_out(1, 0.1, 6)) << "below is good";
  EXPECT_FALSE(outliers.stands_out(100, 100, 0)) << "off";
}

TEST(Outliers, NeedStepsToStandOutFrom) {
  EXPECT_FALSE(after(Outliers::kFewest - 1).stands_out(100, 100, 6));
  EXPECT_TRUE(after(Outliers::kFewest).stands_out(100, 100, 6));
  Outliers forgotten = after(50);
  forgotten.forget();
  EXPECT_FALSE(forgotten.stands_out(100, 100, 6));
}

TEST(Outliers, OldStepsAreForgotten) {
  Outliers outliers;
  for (int i = 0; i < 100; ++i) outliers.remember(100 + i, 100 + i);
  for (std::size_t i = 0; i < Outliers::kRemembered; ++i) outliers.remember(3 + 0.01 * double(i % 5), 1);
  EXPECT_TRUE(outliers.stands_out(50, 1, 6));
}

TEST(Outliers, SurviveAFile) {
  const Outliers kept = Outliers::from_json(parse_json(after(40).to_json().dump(), "state"));
  EXPECT_EQ(kept.to_json(), after(40).to_json());
  EXPECT_TRUE(kept.stands_out(3.5, 1.2, 6));
}

}  // namespace
}  // namespace regroup::uptrain
