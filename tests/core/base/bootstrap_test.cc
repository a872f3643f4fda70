#include "core/base/bootstrap.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "core/base/random.h"

namespace regroup {
namespace {

using Ends = std::vector<std::int64_t>;

TEST(Bootstrap, TotalsAreOfClusters) {
  const std::vector<double> values = {1, 2, 3, 4};
  const ClusterTotals totals = cluster_totals(values, Ends{1, 4});
  EXPECT_EQ(totals.sums, (std::vector<double>{1, 9}));
  EXPECT_EQ(totals.sizes, (std::vector<double>{1, 3}));
}

ClusterTotals random_totals(RandomStream& random, std::int64_t clusters,
                            const std::function<double(double)>& shape) {
  ClusterTotals totals;
  for (std::int64_t c = 0; c < clusters; ++c) {
    const double size = 20 + static_cast<double>(random.below(41));
    totals.sums.push_back(size * shape(random.normal()));
    totals.sizes.push_back(size);
  }
  return totals;
}

TEST(Bootstrap, IsTheSameForTheSameSeed) {
  RandomStream random(1, "totals");
  const ClusterTotals totals = random_totals(random, 40, [](double z) { return 3 + z; });
  const Interval a = bootstrap_interval(totals, 0.95, 500, 7).value(),
                 b = bootstrap_interval(totals, 0.95, 500, 7).value();
  EXPECT_EQ(a.low, b.low);
  EXPECT_EQ(a.high, b.high);
  EXPECT_NE(bootstrap_interval(totals, 0.95, 500, 8)->low, a.low);
}

// Where errors are symmetric both methods say the same.
TEST(Bootstrap, AgreesWithStudentsTOnSymmetricErrors) {
  std::vector<double> values;
  Ends ends;
  for (int i = 0; i < 200; ++i) {
    values.push_back(i % 2 == 0 ? i : -i);
    ends.push_back(i + 1);
  }
  const Interval t = confidence_interval(clustered_mean(values, ends), 0.95).value();
  const Interval resampled = bootstrap_interval(cluster_totals(values, ends), 0.95, 4000, 1).value();
  const double width = t.high - t.low;
  EXPECT_NEAR(resampled.low, t.low, 0.04 * width);
  EXPECT_NEAR(resampled.high, t.high, 0.04 * width);
}

// A few clusters that are much worse: the mean may be much higher than seen, and hardly lower.
TEST(Bootstrap, LeansToWhereTheTailIs) {
  ClusterTotals totals;
  for (int c = 0; c < 50; ++c) {
    totals.sums.push_back(c < 3 ? 100 : 1 + 0.01 * c);
    totals.sizes.push_back(10);
  }
  const double mean = (300 + 47 + 0.01 * (49 * 50 / 2 - 3)) / 500;
  const Interval interval = bootstrap_interval(totals, 0.95, 2000, 1).value();
  EXPECT_GT(interval.high - mean, 1.5 * (mean - interval.low));
  EXPECT_GT(interval.low, 0.1);
}

TEST(Bootstrap, NeedsClustersThatDiffer) {
  ClusterTotals totals{std::vector<double>(19, 1.), std::vector<double>(19, 2.)};
  totals.sums[0] = 5;
  EXPECT_FALSE(bootstrap_interval(totals, 0.95, 300, 1).has_value());
  totals.sums.push_back(1);
  totals.sizes.push_back(2);
  EXPECT_TRUE(bootstrap_interval(totals, 0.95, 300, 1).has_value());
  totals.sums[0] = 1;
  EXPECT_FALSE(bootstrap_interval(totals, 0.95, 300, 1).has_value());
}

double coverage(std::int64_t clusters, std::int64_t trials, double truth,
                const std::function<double(double)>& shape) {
  RandomStream random(11, "coverage");
  std::int64_t covered = 0;
  for (std::int64_t trial = 0; trial < trials; ++trial) {
    const Interval interval = bootstrap_interval(random_totals(random, clusters, shape), 0.95, 400,
                                                 static_cast<std::uint64_t>(trial))
                                  .value();
    covered += interval.low <= truth && truth <= interval.high;
  }
  return static_cast<double>(covered) / static_cast<double>(trials);
}

// The binomial error of 2000 trials is 0.5%.
TEST(Bootstrap, IntervalsCoverWithThirtyClusters) {
  const double thirty = coverage(30, 2000, 3, [](double z) { return 3 + 0.5 * z; });
  const double sixty = coverage(64, 2000, 3, [](double z) { return 3 + 0.5 * z; });
  RecordProperty("thirty", std::to_string(thirty));
  RecordProperty("sixty-four", std::to_string(sixty));
  EXPECT_TRUE(thirty > 0.93 && thirty < 0.97) << thirty;
  EXPECT_TRUE(sixty > 0.93 && sixty < 0.97) << sixty;
}

// Cluster means with a long tail to one side (lognormal, skewness 1.75).
TEST(Bootstrap, IntervalsCoverWhereErrorsAreSkewed) {
  const double covered = coverage(64, 1000, std::exp(0.125), [](double z) { return std::exp(0.5 * z); });
  EXPECT_TRUE(covered > 0.93 && covered < 0.97) << covered;
}

}  // namespace
}  // namespace regroup
