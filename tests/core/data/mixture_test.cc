#include "core/data/mixture.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>

#include "tests/support/expect_error.h"

namespace regroup::data {
namespace {

using testing::user_error_of;
using Weights = std::vector<std::int64_t>;

TEST(WholeWeights, AreTheSmallestInTheSameProportion) {
  const auto whole = [](std::vector<double> weights) { return whole_weights(weights, weights.size()); };
  EXPECT_EQ(whole({0.7, 0.2, 0.1}), (Weights{7, 2, 1}));
  EXPECT_EQ(whole({70, 20, 10}), (Weights{7, 2, 1}));
  EXPECT_EQ(whole({3}), (Weights{1}));
  EXPECT_EQ(whole({0.333333, 0.666667}), (Weights{333333, 666667}));
  EXPECT_EQ(whole({0.29, 0.57, 0.14}), (Weights{29, 57, 14}));
  EXPECT_EQ(whole({0.000001, 0.000002}), (Weights{1, 2}));
  EXPECT_EQ(whole({1e9, 5e8}), (Weights{2, 1}));
}

TEST(WholeWeights, RefuseWhatIsNoProportion) {
  const auto refused = [](std::vector<double> weights, std::size_t files) {
    return user_error_of([&] { whole_weights(weights, files); });
  };
  EXPECT_EQ(refused({1, 2}, 3), "--data-weights: one weight for each file of --data: expected 3, found 2");
  for (const double wrong : {0., -1., std::nan(""), std::numeric_limits<double>::infinity(), 2e9})
    EXPECT_CONTAINS(refused({1, wrong}, 2), "not a weight: expected a number above 0");
  EXPECT_CONTAINS(refused({1 / 3., 2 / 3.}, 2), "Round them, as in 0.7 0.2 0.1");
  EXPECT_CONTAINS(refused({1, 1'000'000}, 2), "a sum of at most 1000000");
}

TEST(Interleaving, KeepsTheProportionsWithinOneWindowAtEveryPosition) {
  for (const Weights& weights : {Weights{1}, Weights{1, 1}, Weights{7, 2, 1}, Weights{2, 1, 7},
                                 Weights{997, 1, 1, 1}, Weights{90, 1, 1, 1, 1, 1, 1, 1, 1, 1},
                                 Weights(17, 1), Weights{333, 667}, Weights{31, 17, 5, 3, 2, 2, 1}}) {
    const Interleaving turns(weights);
    const auto sum = std::accumulate(weights.begin(), weights.end(), std::int64_t{0});
    const double slack = std::max(1., 2. * static_cast<double>(weights.size()) - 2);
    std::vector<std::int64_t> seen(weights.size());
    for (std::int64_t position = 0; position < 3 * sum + 7; ++position) {
      const auto [source, index] = turns.at(position);
      ASSERT_EQ(index, seen.at(source)) << "every window of a source once, in order";
      ++seen[source];
      for (std::size_t i = 0; i < weights.size(); ++i) {
        const double due = double(position + 1) * double(weights[i]) / double(sum);
        ASSERT_LE(std::abs(double(seen[i]) - due), 1 - 1 / slack + 1e-9)
            << "source " << i << " of " << weights.size() << " at " << position;
      }
    }
  }
}

TEST(Interleaving, LooksUpAnyPosition) {
  const Weights weights = {7, 2, 1};
  const Interleaving turns(weights);
  constexpr std::int64_t kFar = 1'000'000'000'000;  // a multiple of the period
  for (std::int64_t i = 0; i < 10; ++i) {
    const auto near = turns.at(i), far = turns.at(kFar + i);
    EXPECT_EQ(far.source, near.source);
    EXPECT_EQ(far.index - near.index, kFar / 10 * weights[near.source]);
  }
}

TEST(Interleaving, TakesWeightsOfAMillion) {
  const Interleaving turns(Weights{999'990, 1, 2, 3, 4});
  std::int64_t last = 0;
  for (std::int64_t i = 0; i < 1'000'000; ++i) last += turns.at(i).source == 4;
  EXPECT_EQ(last, 4);
}

}  // namespace
}  // namespace regroup::data
