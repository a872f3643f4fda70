#include "core/base/statistics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "core/base/error.h"
#include "core/base/random.h"

namespace regroup {
namespace {

using Ends = std::vector<std::int64_t>;

TEST(Statistics, EqualClustersGiveTheErrorOfTheirMeans) {
  // Three clusters of two, means 1, 3, 8: mean 4, s^2 = (9 + 1 + 16) / 2 = 13, se = sqrt(13 / 3).
  const std::vector<double> values = {0, 2, 2, 4, 7, 9};
  const Estimate estimate = clustered_mean(values, Ends{2, 4, 6});
  EXPECT_DOUBLE_EQ(estimate.mean, 4);
  EXPECT_DOUBLE_EQ(estimate.standard_error.value(), std::sqrt(13. / 3));
  EXPECT_EQ(estimate.clusters, 3);
  EXPECT_EQ(estimate.observations, 6);
}

TEST(Statistics, UnequalClustersFollowTheLinearisedRatio) {
  // Clusters {1}, {2, 3}, {6, 6, 6}: r = 24 / 6 = 4; residuals 1 - 4, 5 - 8, 18 - 12;
  // se^2 = 3/2 * (9 + 9 + 36) / 36.
  const std::vector<double> values = {1, 2, 3, 6, 6, 6};
  const Estimate estimate = clustered_mean(values, Ends{1, 3, 6});
  EXPECT_DOUBLE_EQ(estimate.mean, 4);
  EXPECT_DOUBLE_EQ(estimate.standard_error.value(), std::sqrt(1.5 * 54 / 36));
}

TEST(Statistics, ClustersOfOneAreTheTextbookError) {
  const std::vector<double> values = {1, 2, 3, 4};
  EXPECT_DOUBLE_EQ(clustered_mean(values, Ends{1, 2, 3, 4}).standard_error.value(), std::sqrt(5. / 3 / 4));
}

TEST(Statistics, OneClusterClaimsNoError) {
  const std::vector<double> values = {1, 2};
  const Estimate estimate = clustered_mean(values, Ends{2});
  EXPECT_DOUBLE_EQ(estimate.mean, 1.5);
  EXPECT_FALSE(estimate.standard_error.has_value());
  EXPECT_FALSE(confidence_interval(estimate, 0.95).has_value());
}

TEST(Statistics, DifferencesArePaired) {
  // Both vary wildly and together; only what sets them apart counts.
  const std::vector<double> source = {10, -20, 300, 4}, model = {11, -19, 301, 5};
  const Estimate estimate = clustered_mean_difference(model, source, Ends{1, 2, 3, 4});
  EXPECT_DOUBLE_EQ(estimate.mean, 1);
  EXPECT_DOUBLE_EQ(estimate.standard_error.value(), 0);
}

TEST(Statistics, SumsAreCompensated) {
  std::vector<double> values(1'000'001, 1e-10);
  values.front() = 1e6;
  const Estimate estimate = clustered_mean(values, Ends{1'000'001});
  EXPECT_DOUBLE_EQ(estimate.mean * 1'000'001, 1e6 + 1e-4);
}

TEST(Statistics, ClustersMustCoverTheObservations) {
  const std::vector<double> values = {1, 2, 3};
  EXPECT_THROW(clustered_mean(values, Ends{1, 2}), InternalError);
  EXPECT_THROW(clustered_mean(values, Ends{2, 2, 3}), InternalError);
  EXPECT_THROW(clustered_mean(values, Ends{}), InternalError);
}

TEST(Statistics, QuantilesAreThoseOfTheTables) {
  EXPECT_NEAR(student_t_quantile(0.975, 1), 12.706, 5e-4);
  EXPECT_NEAR(student_t_quantile(0.95, 29), 1.699, 5e-4);
  EXPECT_NEAR(student_t_quantile(0.975, 1e9), 1.960, 5e-4);
  EXPECT_NEAR(normal_quantile(0.8), 0.8416, 5e-5);
}

TEST(Statistics, WhatWasNeverSeenFollowsTheRuleOfThree) {
  EXPECT_NEAR(unseen_share(1'000'000, 0.95) * 1e6, 2.9957, 1e-3);
  EXPECT_NEAR(std::pow(1 - unseen_share(10, 0.95), 10), 0.05, 1e-12);
  EXPECT_NEAR(unseen_share(1, 0.95), 0.95, 1e-12);
}

TEST(Statistics, IntervalsUseStudentsT) {
  const std::vector<double> values = {-1, 1};
  const auto interval = confidence_interval(clustered_mean(values, Ends{1, 2}), 0.95);
  ASSERT_TRUE(interval.has_value());
  EXPECT_NEAR(interval->high, 12.706, 5e-4);  // se = 1, one degree of freedom
  EXPECT_NEAR(interval->low, -12.706, 5e-4);
}

// Text as the estimator meets it: every cluster has a level of its own, and within it tokens follow an AR(1).
double coverage(std::int64_t clusters, std::int64_t shortest, std::int64_t longest, std::int64_t trials) {
  RandomStream random(7, "coverage");
  std::int64_t covered = 0;
  std::vector<double> values;
  for (std::int64_t trial = 0; trial < trials; ++trial) {
    values.clear();
    Ends ends;
    for (std::int64_t c = 0; c < clusters; ++c) {
      const double level = 0.5 * random.normal();
      double deviation = random.normal();
      const auto length = shortest + static_cast<std::int64_t>(
                                         random.below(static_cast<std::uint64_t>(longest - shortest + 1)));
      for (std::int64_t i = 0; i < length; ++i) {
        deviation = 0.8 * deviation + 0.6 * random.normal();
        values.push_back(3 + level + deviation);
      }
      ends.push_back(static_cast<std::int64_t>(values.size()));
    }
    const auto interval = confidence_interval(clustered_mean(values, ends), 0.95);
    covered += interval->low <= 3 && 3 <= interval->high;
  }
  return static_cast<double>(covered) / static_cast<double>(trials);
}

// The binomial error of 4000 trials is 0.35%.
TEST(Statistics, IntervalsCoverWithThirtyClusters) {
  const double equal = coverage(30, 40, 40, 4000), unequal = coverage(30, 10, 90, 4000);
  RecordProperty("equal", std::to_string(equal));
  RecordProperty("unequal", std::to_string(unequal));
  EXPECT_TRUE(equal > 0.93 && equal < 0.97) << equal;
  EXPECT_TRUE(unequal > 0.93 && unequal < 0.97) << unequal;
}

TEST(Statistics, IntervalsStayHonestWithFewClusters) {
  const double covered = coverage(5, 40, 40, 4000);
  EXPECT_TRUE(covered > 0.93 && covered < 0.97) << covered;
}

}  // namespace
}  // namespace regroup
