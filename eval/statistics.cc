#include "eval/statistics.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/base/error.h"

namespace regroup::eval {
namespace {

double probability_change(const TokenPair& pair) {
  return std::exp(-pair.nats) - std::exp(-pair.source_nats);
}

constexpr Statistic kAll[] = {
    {.key = "kl_divergence",
     .title = "KL to source",
     .summary = "KL divergence from the source's distribution, nats per token.",
     .scale = 1,
     .decimals = 5,
     .of = [](const TokenPair& pair) { return pair.kl; },
     .transform = Transform::kNone,
     .range = {0, std::numeric_limits<double>::infinity()},
     .most = &Comparison::most_nats,
     .in_table = true},
    {.key = "same_top",
     .title = "same top, %",
     .summary = "Share of tokens for which both models have the same first choice.",
     .scale = 100,
     .decimals = 2,
     .of = [](const TokenPair& pair) { return pair.same_top ? 1. : 0.; },
     .transform = Transform::kNone,
     .range = {0, 1},
     .most = &Comparison::most_probability,
     .in_table = true},
    {.key = "probability_change",
     .title = "mean Δp, %",
     .summary = "Change of the probability of the true token.",
     .scale = 100,
     .decimals = 3,
     .of = probability_change,
     .transform = Transform::kNone,
     .range = {-1, 1},
     .most = &Comparison::most_probability,
     .in_table = false},
    {.key = "rms_probability_change",
     .title = "RMS Δp, %",
     .summary = "Root mean square change of the probability of the true token.",
     .scale = 100,
     .decimals = 3,
     .of = [](const TokenPair& pair) { return std::pow(probability_change(pair), 2); },
     .transform = Transform::kRoot,
     .range = {0, 1},
     .most = &Comparison::most_probability,
     .in_table = false},
};

}  // namespace

std::span<const Statistic> statistics() {
  return kAll;
}

const Statistic& statistic(std::string_view key) {
  const auto row = std::ranges::find(kAll, key, &Statistic::key);
  check(row != std::end(kAll), "a statistic has a row");
  return *row;
}

const Figure* find_statistic(const ModelResult& model, std::string_view key) {
  if (model.statistics.empty()) return nullptr;
  return &model.statistics[static_cast<std::size_t>(&statistic(key) - kAll)];
}

bool same_model(const ModelFacts& a, const ModelFacts& b) {
  return a.config_sha256 == b.config_sha256 && !a.weights_sha256.empty() &&
         a.weights_sha256 == b.weights_sha256;
}

Comparison compare_scores(const Scores& scores, const ModelFacts& model, const Scores& source,
                          const ModelFacts& source_model, const Clusters& clusters) {
  Comparison comparison{.scores = scores, .source = source, .clusters = clusters};
  if (same_model(model, source_model)) return comparison;
  comparison.most_nats = std::log(static_cast<double>(source_model.vocabulary));
  comparison.most_probability = 1;
  return comparison;
}

std::vector<double> differences_of(const Comparison& comparison) {
  std::vector<double> values(comparison.scores.nats.size());
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = comparison.scores.nats[i] - comparison.source.nats[i];
  return values;
}

std::vector<double> values_of(const Statistic& statistic, const Comparison& comparison) {
  const Scores &scores = comparison.scores, &source = comparison.source;
  check(scores.kl.size() == scores.nats.size() && scores.top.size() == scores.nats.size() &&
            source.nats.size() == scores.nats.size() && source.top.size() == scores.nats.size(),
        "both models know the same tokens, and their divergence");
  std::vector<double> values(scores.nats.size());
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = statistic.of({.nats = scores.nats[i],
                              .source_nats = source.nats[i],
                              .kl = scores.kl[i],
                              .same_top = scores.top[i] == source.top[i]});
  return values;
}

Measure measure_statistic(const Statistic& statistic, const Comparison& comparison) {
  return {.estimate = clustered_mean(values_of(statistic, comparison), comparison.clusters.ends),
          .transform = statistic.transform,
          .range = statistic.range,
          .reach = comparison.*statistic.most};
}

Measure measure_difference(const Comparison& comparison) {
  return {.estimate = clustered_mean_difference(comparison.scores.nats, comparison.source.nats,
                                                comparison.clusters.ends),
          .reach = comparison.most_nats};
}

std::vector<Quantile> upper_quantiles(std::span<const double> values) {
  std::vector<double> sorted(values.begin(), values.end());
  std::ranges::sort(sorted);
  std::vector<Quantile> quantiles;
  for (const double probability : {0.5, 0.9, 0.95, 0.99, 0.999, 1.})
    quantiles.push_back({probability, quantile_of_sorted(sorted, probability)});
  return quantiles;
}

}  // namespace regroup::eval
