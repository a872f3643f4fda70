#include "uptrain/schedule.h"

#include <gtest/gtest.h>

#include "tests/support/expect_error.h"

namespace regroup::uptrain {
namespace {

TEST(Schedule, RisesLinearlyToThePeak) {
  for (const Schedule& row : schedules()) {
    EXPECT_DOUBLE_EQ(learning_rate(row, 1, 0, 100, 0.1), 0.1) << row.name;
    EXPECT_DOUBLE_EQ(learning_rate(row, 1, 4, 100, 0.1), 0.5) << row.name;
    EXPECT_DOUBLE_EQ(learning_rate(row, 1, 9, 100, 0.1), 1) << row.name;
    EXPECT_DOUBLE_EQ(learning_rate(row, 1, 10, 100, 0.1), 1) << row.name;
  }
}

TEST(Schedule, APartOfAStepOfWarmUpIsAWholeOne) {
  EXPECT_DOUBLE_EQ(learning_rate(schedule("cosine"), 1, 0, 15, 0.1), 0.5);
  EXPECT_DOUBLE_EQ(learning_rate(schedule("cosine"), 1, 1, 15, 0.1), 1);
}

TEST(Schedule, NeverRisesAfterWarmUpAndEndsAboveZero) {
  for (const Schedule& row : schedules()) {
    double last = 2;
    for (std::int64_t step = 10; step < 100; ++step) {
      const double rate = learning_rate(row, 2, step, 100, 0.1);
      EXPECT_LE(rate, last) << row.name << " at " << step;
      last = rate;
    }
    EXPECT_GT(last, 0) << row.name;
    EXPECT_LT(last, 0.03) << row.name;
  }
}

TEST(Schedule, OneMinusSqrtHoldsForHalfThenDecays) {
  const Schedule& row = schedule("1-sqrt");
  EXPECT_EQ(row.factor(0.49), 1);
  EXPECT_NEAR(row.factor(0.5 + 0.5 * 0.0001), 0.99, 1e-12);
  EXPECT_DOUBLE_EQ(row.factor(0.5 + 0.5 * 0.25), 0.5);
}

TEST(Schedule, CosineIsHalfWayInTheMiddle) {
  EXPECT_NEAR(schedule("cosine").factor(0.5), 0.5, 1e-15);
}

TEST(Schedule, UnknownNameListsTheKnown) {
  const std::string text = testing::user_error_of([] { schedule("wave"); });
  EXPECT_EQ(text, "--schedule: no such schedule: expected 1-sqrt, cosine, linear, found wave");
}

TEST(Schedule, AllWarmUpIsARun) {
  EXPECT_DOUBLE_EQ(learning_rate(schedule("cosine"), 1, 9, 10, 1), 1);
}

}  // namespace
}  // namespace regroup::uptrain
