#include "eval/compare.h"

#include <gtest/gtest.h>

#include <cmath>

#include "eval/eval.h"
#include "eval/gate.h"
#include "tests/eval/sample_result.h"

namespace regroup::eval {
namespace {

// Source 1, 3 in two clusters of one; the model is 0.2 and 0.4 above it.
const Nats kTwo = {{1, 3}, {1.2, 3.4}};

TEST(Compare, FiguresFollowFromTheTokens) {
  const Result result = sample_result(kTwo, equal_clusters(2, 1));
  const ModelResult &source = result.models[0], &model = result.models[1];
  EXPECT_DOUBLE_EQ(source.nats.value, 2);
  EXPECT_DOUBLE_EQ(source.nats.error.value(), 1);
  EXPECT_DOUBLE_EQ(source.perplexity.value, std::exp(2));
  EXPECT_DOUBLE_EQ(source.perplexity.error.value(), std::exp(2));
  EXPECT_NEAR(source.perplexity.interval->high, std::exp(2 + 12.7062), 20);
  EXPECT_FALSE(source.difference.has_value());
  EXPECT_NEAR(model.difference->value, 0.3, 1e-15);
  EXPECT_NEAR(model.difference->error.value(), 0.1, 1e-15);
  EXPECT_NEAR(model.ratio->value, std::exp(0.3), 1e-15);
  EXPECT_NEAR(model.ratio->interval->low, std::exp(0.3 - 12.7062 * 0.1), 1e-5);
}

TEST(Compare, BitsPerByteAreOfTheWholeText) {
  Result result = sample_result(kTwo, equal_clusters(2, 1));  // 12 bytes, 2 tokens scored
  EXPECT_DOUBLE_EQ(result.models[0].bits_per_byte->value, 2 * 2 / (std::log(2.) * 12));
  EXPECT_DOUBLE_EQ(result.models[0].bits_per_byte->error.value(), 1 * 2 / (std::log(2.) * 12));
  for (ModelResult& model : result.models) model.bits_per_byte.reset();
  result.stream_tokens = 100;  // only its beginning was scored
  compare_models(kTwo, equal_clusters(2, 1), result);
  EXPECT_FALSE(result.models[0].bits_per_byte.has_value());
}

TEST(Compare, DifferencesAlongTheTextAreMeansOfSegments) {
  Nats nats(2, std::vector<double>(100, 1.));
  for (std::size_t i = 50; i < 100; ++i) nats[1][i] = 3;
  const Result result = sample_result(nats, equal_clusters(10, 10));
  ASSERT_EQ(result.segment_ends.size(), 48u);
  EXPECT_EQ(result.segment_ends.back(), 100);
  EXPECT_DOUBLE_EQ(result.models[1].along.front(), 0);
  EXPECT_DOUBLE_EQ(result.models[1].along.back(), 2);
  EXPECT_DOUBLE_EQ(result.models[0].along.front(), 1);
}

TEST(Compare, OneClusterClaimsNoError) {
  const Result result = sample_result(kTwo, equal_clusters(1, 2), Gate{1.5, 0.95});
  EXPECT_FALSE(result.models[1].difference->error.has_value());
  EXPECT_FALSE(result.models[1].ratio->interval.has_value());
  EXPECT_EQ(result.verdict, Verdict::kCannotTell);
}

Estimate estimate(double mean, double error, std::int64_t clusters = 41) {
  return {.mean = mean, .standard_error = error, .clusters = clusters, .observations = 10000};
}

TEST(Gate, DecidesByOneSidedBounds) {
  const Gate gate{1.02, 0.95};
  // t(0.95, 40) = 1.6839
  EXPECT_EQ(decide(estimate(std::log(1.02) - 1.684 * 0.01, 0.01), gate).verdict, Verdict::kPass);
  EXPECT_EQ(decide(estimate(std::log(1.02) - 1.683 * 0.01, 0.01), gate).verdict, Verdict::kCannotTell);
  EXPECT_EQ(decide(estimate(std::log(1.02) + 1.683 * 0.01, 0.01), gate).verdict, Verdict::kCannotTell);
  EXPECT_EQ(decide(estimate(std::log(1.02) + 1.684 * 0.01, 0.01), gate).verdict, Verdict::kFail);
}

TEST(Gate, PassesAnIdenticalModelAtRatioOne) {
  const GateDecision decision = decide(estimate(0, 0), {1, 0.95});
  EXPECT_EQ(decision.verdict, Verdict::kPass);
  EXPECT_DOUBLE_EQ(decision.bounds->high, 1);
}

TEST(Gate, SaysHowMuchMoreTextWouldDecide) {
  const Gate gate{1.02, 0.95};
  const double error = 0.01, margin = 0.005;
  const GateDecision decision = decide(estimate(std::log(1.02) - margin, error), gate);
  ASSERT_TRUE(decision.more_tokens.has_value());
  // ((1.6839 + 0.8416) * 0.01 / 0.005)^2 = 25.51 times the text
  EXPECT_NEAR(static_cast<double>(*decision.more_tokens), 245'100, 300);
  EXPECT_FALSE(decide(estimate(std::log(1.02), error), gate).more_tokens.has_value());
}

TEST(Gate, TakesTheWorstOfAllModels) {
  Nats nats(4, std::vector<double>(400, 2.));
  for (std::size_t i = 0; i < 400; ++i) {
    nats[1][i] += 0.001;                              // well within
    nats[2][i] += std::log(1.02) + (i % 2 ? 1 : -1);  // on the budget
    nats[3][i] += 0.5;                                // far beyond
  }
  const auto verdict = [&](std::size_t models) {
    const Result result =
        sample_result(Nats(nats.begin(), nats.begin() + static_cast<std::ptrdiff_t>(models)),
                      equal_clusters(400, 1), Gate{1.02, 0.95});
    return std::pair(result.verdict.value(), exit_code(result));
  };
  EXPECT_EQ(verdict(2), std::pair(Verdict::kPass, 0));
  EXPECT_EQ(verdict(3), std::pair(Verdict::kCannotTell, 4));
  EXPECT_EQ(verdict(4), std::pair(Verdict::kFail, 1));
  std::swap(nats[1], nats[3]);  // the worst first
  EXPECT_EQ(verdict(4), std::pair(Verdict::kFail, 1));
}

TEST(Gate, WithoutABudgetAlwaysExitsZero) {
  EXPECT_EQ(exit_code(sample_result({{1, 1}, {9, 9}}, equal_clusters(2, 1))), 0);
}

}  // namespace
}  // namespace regroup::eval
