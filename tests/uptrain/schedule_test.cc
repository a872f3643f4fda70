#include "uptrain/schedule.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "tests/support/expect_error.h"

namespace regroup::uptrain {
namespace {

TEST(Schedule, RisesLinearlyToThePeak) {
  for (const Schedule& row : schedules()) {
    EXPECT_DOUBLE_EQ(learning_rate(row, 1, 0, {.steps = 100, .warmup = 0.1}), 0.1) << row.name;
    EXPECT_DOUBLE_EQ(learning_rate(row, 1, 4, {.steps = 100, .warmup = 0.1}), 0.5) << row.name;
    EXPECT_DOUBLE_EQ(learning_rate(row, 1, 9, {.steps = 100, .warmup = 0.1}), 1) << row.name;
    EXPECT_DOUBLE_EQ(learning_rate(row, 1, 10, {.steps = 100, .warmup = 0.1}), 1) << row.name;
  }
}

TEST(Schedule, APartOfAStepOfWarmUpIsAWholeOne) {
  EXPECT_DOUBLE_EQ(learning_rate(schedule("cosine"), 1, 0, {.steps = 15, .warmup = 0.1}), 0.5);
  EXPECT_DOUBLE_EQ(learning_rate(schedule("cosine"), 1, 1, {.steps = 15, .warmup = 0.1}), 1);
}

TEST(Schedule, NeverRisesAfterWarmUpAndEndsAboveZero) {
  for (const Schedule& row : schedules()) {
    double last = 2;
    for (std::int64_t step = 10; step < 100; ++step) {
      const double rate = learning_rate(row, 2, step, {.steps = 100, .warmup = 0.1});
      EXPECT_LE(rate, last) << row.name << " at " << step;
      last = rate;
    }
    EXPECT_GT(last, 0) << row.name;
    EXPECT_LT(last, 0.03) << row.name;
  }
}

TEST(Schedule, OneMinusSqrtHoldsForHalfThenDecays) {
  const Schedule& row = schedule("1-sqrt");
  const auto rate = [&](std::int64_t step) {
    return learning_rate(row, 1, step, {.steps = 20000, .warmup = 0});
  };
  EXPECT_EQ(rate(9999), 1);
  EXPECT_EQ(rate(10000), 1);
  EXPECT_NEAR(rate(10001), 0.99, 1e-12);
  EXPECT_DOUBLE_EQ(rate(12500), 0.5);
}

TEST(Schedule, CosineIsHalfWayInTheMiddle) {
  EXPECT_NEAR(learning_rate(schedule("cosine"), 1, 50, {.steps = 100}), 0.5, 1e-15);
}

// Cut short or made longer at step 30: at the peak from there until the decay of the new course, never
// before.
TEST(Schedule, ACourseThatIsChangedAtThePeakDecaysToItsNewEnd) {
  const Schedule& row = schedule("1-sqrt");
  for (const std::int64_t steps : {34, 60, 1000}) {
    const Course course{.steps = steps, .warmup = 0.1, .extended_at = 30};
    const double rising = std::ceil(0.1 * double(steps));
    const double decay = std::max(30.0, rising + (double(steps) - rising) / 2);
    for (std::int64_t step = 30; step < steps; ++step) {
      const double behind = std::max(0.0, (double(step) - decay) / (double(steps) - decay));
      EXPECT_NEAR(learning_rate(row, 2, step, course), 2 * (1 - std::sqrt(behind)), 1e-12)
          << steps << " " << step;
    }
  }
}

TEST(Schedule, ACourseMayBeChangedBetweenWarmUpAndDecay) {
  const Course course{.steps = 100, .warmup = 0.1};
  for (const auto& [step, may] : {std::pair{0, false}, {9, false}, {10, true}, {55, true}, {56, false}})
    EXPECT_EQ(at_peak(schedule("1-sqrt"), step, course), may) << step;
  EXPECT_FALSE(at_peak(schedule("cosine"), 10, course));
  EXPECT_FALSE(at_peak(schedule("linear"), 10, course));
}

TEST(Schedule, UnknownNameListsTheKnown) {
  const std::string text = testing::user_error_of([] { schedule("wave"); });
  EXPECT_EQ(text, "--schedule: no such schedule: expected 1-sqrt, cosine, linear, found wave");
}

TEST(Schedule, AllWarmUpIsARun) {
  EXPECT_DOUBLE_EQ(learning_rate(schedule("cosine"), 1, 9, {.steps = 10, .warmup = 1}), 1);
}

}  // namespace
}  // namespace regroup::uptrain
