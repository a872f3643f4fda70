#include "eval/compare.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "eval/eval.h"
#include "eval/gate.h"
#include "eval/statistics.h"
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
  compare_models(scores_of(kTwo), equal_clusters(2, 1), result);
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

// 200 tokens: the model is 0.1 nats above the source, its divergence is 0.05 or 0.15, and every fourth first
// choice is another.
std::vector<Scores> divergent_scores() {
  std::vector<Scores> scores(2);
  for (int i = 0; i < 200; ++i) {
    scores[0].nats.push_back(1 + i % 3);
    scores[1].nats.push_back(1.1 + i % 3);
    scores[0].top.push_back(i);
    scores[1].top.push_back(i % 4 == 0 ? i + 1 : i);
    scores[1].kl.push_back(i % 2 == 0 ? 0.05 : 0.15);
  }
  return scores;
}

TEST(Statistics, FollowFromTheTokens) {
  const Result result = sample_result(divergent_scores(), equal_clusters(50, 4), {});
  const ModelResult& model = result.models[1];
  ASSERT_EQ(model.statistics.size(), 4u);
  EXPECT_TRUE(result.models[0].statistics.empty());
  EXPECT_NEAR(model.statistics[0].value, 0.1, 1e-12);
  EXPECT_DOUBLE_EQ(model.statistics[1].value, 0.75);
  double sum = 0, squares = 0;
  for (int i = 0; i < 200; ++i) {
    const double change = std::exp(-1.1 - i % 3) - std::exp(-1. - i % 3);
    sum += change / 200;
    squares += change * change / 200;
  }
  EXPECT_NEAR(model.statistics[2].value, sum, 1e-12);
  EXPECT_NEAR(model.statistics[3].value, std::sqrt(squares), 1e-12);
  EXPECT_NEAR(model.statistics[3].error.value(), 0.00095, 0.0009);
  ASSERT_EQ(model.kl_quantiles.size(), 6u);
  EXPECT_NEAR(model.kl_quantiles[0].value, 0.1, 1e-12);  // between the halves
  EXPECT_EQ(model.kl_quantiles[5].value, 0.15);
}

TEST(Statistics, ErrorsRespectClusters) {
  std::vector<Scores> scores = divergent_scores();
  for (int i = 0; i < 200; ++i) scores[1].kl[static_cast<std::size_t>(i)] = i / 20 % 2 == 0 ? 0.05 : 0.15;
  const auto error = [&](std::int64_t clusters, std::int64_t size) {
    return sample_result(scores, equal_clusters(clusters, size), {}).models[1].statistics[0].error.value();
  };
  EXPECT_NEAR(error(200, 1), 0.05 / std::sqrt(199.), 1e-12);
  EXPECT_NEAR(error(10, 20), 0.05 / std::sqrt(9.), 1e-12);
}

TEST(Statistics, QuantilesInterpolate) {
  std::vector<double> values;
  for (int i = 1000; i >= 0; --i) values.push_back(i);
  const std::vector<Quantile> quantiles = upper_quantiles(values);
  EXPECT_NEAR(quantiles[0].value, 500, 1e-9);
  EXPECT_NEAR(quantiles[4].value, 999, 1e-9);
  EXPECT_NEAR(upper_quantiles(std::vector<double>{1, 2})[1].value, 1.9, 1e-12);
}

// Of nats; ratio() is of their exponential.
Measure estimate(double mean, double error, std::int64_t clusters = 41) {
  return {.estimate = {.mean = mean,
                       .standard_error = error,
                       .clusters = clusters,
                       .observations = 10000,
                       .degrees = static_cast<double>(clusters - 1)}};
}

Measure ratio(double mean, double error) {
  Measure measure = estimate(mean, error);
  measure.transform = Transform::kExponential;
  return measure;
}

// The kinds by their keys: what a budget means does not depend on the order of the rows.
Gate gate_of(std::string_view key, double budget) {
  const auto kinds = gate_kinds();
  const auto row = std::ranges::find(kinds, key, &GateKind::key);
  return {.budget = budget, .confidence = 0.95, .kind = static_cast<std::size_t>(row - kinds.begin())};
}

TEST(Gate, DecidesByOneSidedBounds) {
  const Gate gate{1.02, 0.95};
  // t(0.95, 40) = 1.6839
  EXPECT_EQ(decide(ratio(std::log(1.02) - 1.684 * 0.01, 0.01), gate).verdict, Verdict::kPass);
  EXPECT_EQ(decide(ratio(std::log(1.02) - 1.683 * 0.01, 0.01), gate).verdict, Verdict::kCannotTell);
  EXPECT_EQ(decide(ratio(std::log(1.02) + 1.683 * 0.01, 0.01), gate).verdict, Verdict::kCannotTell);
  EXPECT_EQ(decide(ratio(std::log(1.02) + 1.684 * 0.01, 0.01), gate).verdict, Verdict::kFail);
}

TEST(Gate, PassesAnIdenticalModelAtRatioOne) {
  const GateDecision decision = decide(ratio(0, 0), {1, 0.95});
  EXPECT_EQ(decision.verdict, Verdict::kPass);
  EXPECT_DOUBLE_EQ(decision.bounds->high, 1);
}

// All first choices the same in so many clusters of as many tokens each.
Measure full_agreement(std::int64_t clusters, std::int64_t tokens) {
  Measure measure = estimate(1, 0, clusters);
  measure.estimate.observations = clusters * tokens;
  measure.range = {0, 1};
  measure.reach = 1;
  return measure;
}

TEST(Gate, WithoutASpreadSingleTokensAreCounted) {
  const Gate gate = gate_of("min_same_top", 0.95);
  EXPECT_NEAR(decide(full_agreement(10, 1), gate).bounds->low, std::pow(0.05, 0.1), 1e-12);
  EXPECT_EQ(decide(full_agreement(58, 1), gate).verdict, Verdict::kCannotTell);
  EXPECT_EQ(decide(full_agreement(58, 1), gate).more_tokens, 1);
  EXPECT_EQ(decide(full_agreement(59, 1), gate).verdict, Verdict::kPass);
  EXPECT_FALSE(decide(full_agreement(59, 1), gate_of("min_same_top", 1)).more_tokens.has_value());
}

// A model that differs in nothing is trusted as much as one that differs in a single token, and not more.
TEST(Gate, WithoutASpreadTheBoundIsThatOfOneToken) {
  for (const std::int64_t clusters : {2, 5, 64, 1000}) {
    const std::int64_t tokens = clusters * 100;
    std::vector<std::int64_t> ends;
    for (std::int64_t c = 1; c <= clusters; ++c) ends.push_back(c * 100);
    std::vector<double> same(static_cast<std::size_t>(tokens), 1.);
    same[7] = 0;
    const Measure one = {.estimate = clustered_mean(same, ends), .range = {-1e9, 1}, .reach = 1};
    const double differing = one_sided_bounds(one, 0.95)->low;
    Measure none = full_agreement(clusters, 100);
    none.range.low = -1e9;
    const double agreeing = one_sided_bounds(none, 0.95)->low;
    EXPECT_GE(agreeing, differing - 1e-12) << clusters;
    EXPECT_LE(agreeing, 1 - (1 - differing) * 0.8) << clusters;
    const std::int64_t more = more_without_spread(none, 1e-3, 0.95).value();
    none.estimate.observations += more;
    EXPECT_NEAR(one_sided_bounds(none, 0.95)->low, 1 - 1e-3, 1e-6) << clusters;
  }
}

// Ten blocks of one token in which two models agree in everything.
TEST(Gate, AgreementOnTenTokensIsNoPass) {
  std::vector<Scores> scores(2);
  for (Scores& each : scores)
    each = {.nats = std::vector<double>(10, 2.), .top = std::vector<tokenizer::Token>(10, 7)};
  scores[1].kl.assign(10, 0.);
  const auto decided = [&](const Gate& gate) {
    return sample_result(scores, equal_clusters(10, 1), {gate}).verdict.value();
  };
  for (const Gate& gate : {Gate{1.02, 0.95}, gate_of("max_kl", 0.02), gate_of("min_same_top", 0.95)})
    EXPECT_EQ(decided(gate), Verdict::kCannotTell) << gate.kind;
  EXPECT_EQ(decided(gate_of("min_same_top", 0.7)), Verdict::kPass);
  const Result result = sample_result(scores, equal_clusters(10, 1), {});
  const Figure& top = *find_statistic(result.models[1], "same_top");
  EXPECT_FALSE(top.error.has_value());
  EXPECT_NEAR(top.interval->low, std::pow(0.025, 0.1), 1e-12);
  EXPECT_EQ(top.interval->high, 1);
  const Figure& kl = *find_statistic(result.models[1], "kl_divergence");
  EXPECT_EQ(kl.interval->low, 0);
  EXPECT_NEAR(kl.interval->high, (1 - std::pow(0.025, 0.1)) * std::log(1000.), 1e-12);
  EXPECT_NEAR(find_statistic(result.models[1], "rms_probability_change")->interval->high,
              std::sqrt(1 - std::pow(0.025, 0.1)), 1e-12);
}

TEST(Figures, StayWhereTheyCanBe) {
  Measure share = estimate(0.999, 0.01);
  share.range = {0, 1};
  EXPECT_EQ(figure_of(share, 0.95).interval->high, 1);
  EXPECT_NEAR(figure_of(share, 0.95).interval->low, 0.999 - 2.0211 * 0.01, 1e-5);
  Measure kl = estimate(0.001, 0.01);
  kl.range = {0, std::numeric_limits<double>::infinity()};
  EXPECT_EQ(figure_of(kl, 0.95).interval->low, 0);
  kl.transform = Transform::kRoot;
  EXPECT_EQ(figure_of(kl, 0.95).interval->low, 0);
  EXPECT_NEAR(*figure_of(kl, 0.95).error, 0.01 / (2 * std::sqrt(0.001)), 1e-12);
}

TEST(Gate, SaysHowMuchMoreTextWouldDecide) {
  const Gate gate{1.02, 0.95};
  const double error = 0.01, margin = 0.005;
  const GateDecision decision = decide(ratio(std::log(1.02) - margin, error), gate);
  ASSERT_TRUE(decision.more_tokens.has_value());
  // ((1.6839 + 0.8416) * 0.01 / 0.005)^2 = 25.51 times the text
  EXPECT_NEAR(static_cast<double>(*decision.more_tokens), 245'100, 300);
  EXPECT_FALSE(decide(ratio(std::log(1.02), error), gate).more_tokens.has_value());
}

TEST(Gate, TakesTheWorstOfAllModels) {
  Nats nats(4, std::vector<double>(400, 2.));
  for (std::size_t i = 0; i < 400; ++i) {
    nats[1][i] += i % 2 ? 0.001 : 0.002;              // well within
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

TEST(Gate, MeasuresDivergenceOnItsOwnScale) {
  const Gate gate = gate_of("max_kl", 0.02);
  EXPECT_EQ(decide(estimate(0.02 - 1.684 * 0.001, 0.001), gate).verdict, Verdict::kPass);
  EXPECT_EQ(decide(estimate(0.02, 0.001), gate).verdict, Verdict::kCannotTell);
  EXPECT_EQ(decide(estimate(0.02 + 1.684 * 0.001, 0.001), gate).verdict, Verdict::kFail);
}

TEST(Gate, ALowerBudgetIsForTheLowerBound) {
  const Gate gate = gate_of("min_same_top", 0.95);
  EXPECT_EQ(decide(estimate(0.95 + 1.684 * 0.01, 0.01), gate).verdict, Verdict::kPass);
  EXPECT_EQ(decide(estimate(0.95 + 1.683 * 0.01, 0.01), gate).verdict, Verdict::kCannotTell);
  EXPECT_EQ(decide(estimate(0.95 - 1.683 * 0.01, 0.01), gate).verdict, Verdict::kCannotTell);
  EXPECT_EQ(decide(estimate(0.95 - 1.684 * 0.01, 0.01), gate).verdict, Verdict::kFail);
  EXPECT_NEAR(decide(estimate(0.9, 0.01), gate).bounds->low, 0.9 - 0.016839, 1e-5);
}

TEST(Gate, EveryBudgetIsHeard) {
  std::vector<Scores> scores = divergent_scores();
  for (std::size_t i = 0; i < 200; i += 7) scores[1].nats[i] += 0.01;
  const auto verdict = [&](const std::vector<Gate>& gates) {
    return sample_result(scores, equal_clusters(40, 5), gates).verdict.value();
  };
  const Gate ratio{1.5, 0.95}, kl = gate_of("max_kl", 0.5), top = gate_of("min_same_top", 0.5);
  EXPECT_EQ(verdict({ratio, kl, top}), Verdict::kPass);
  EXPECT_EQ(verdict({ratio, gate_of("max_kl", 0.01), top}), Verdict::kFail);
  EXPECT_EQ(verdict({ratio, kl, gate_of("min_same_top", 0.99)}), Verdict::kFail);
  EXPECT_EQ(verdict({Gate{1.0001, 0.95}, kl, top}), Verdict::kFail);
}

TEST(Gate, WithoutABudgetAlwaysExitsZero) {
  EXPECT_EQ(exit_code(sample_result({{1, 1}, {9, 9}}, equal_clusters(2, 1))), 0);
}

}  // namespace
}  // namespace regroup::eval
