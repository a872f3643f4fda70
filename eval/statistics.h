// What two models' predictions of the same tokens say of each other, one row each.
#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "core/base/statistics.h"
#include "eval/clusters.h"
#include "eval/figure.h"
#include "eval/result.h"
#include "eval/score.h"

namespace regroup::eval {

// One token under a model and under the source.
struct TokenPair {
  double nats = 0, source_nats = 0;
  double kl = 0;  // KL(source || model)
  bool same_top = false;
};

// A model's scores beside the source's: of the same tokens.
struct Comparison {
  const Scores& scores;
  const Scores& source;
  const Clusters& clusters;
  // The most that a token which was not seen may be off (Measure::reach), in nats and as a probability: both
  // 0 where the models are one and the same.
  double most_nats = 0, most_probability = 0;
  std::optional<Measure> since_baseline = {};  // nats per token above the same model in the baseline
};

// One and the same: config.json and weights, as far as the hash of those is known.
bool same_model(const ModelFacts& a, const ModelFacts& b);

// Of a token that was not seen it is assumed that no model is further from another than a uniform guess is
// from a sure one: ln(vocabulary) nats.
Comparison compare_scores(const Scores& scores, const ModelFacts& model, const Scores& source,
                          const ModelFacts& source_model, const Clusters& clusters);

// The mean of `of` over all scored tokens, or its square root. Names as llama-perplexity --kl-divergence
// prints them.
struct Statistic {
  std::string_view key, title, summary;  // in JSON; as a column; one sentence
  double scale;                          // what reports multiply by: 100 for shares
  int decimals;
  double (*of)(const TokenPair& pair);
  Transform transform;
  Interval range;            // of the mean of `of`
  double Comparison::*most;  // how far a token that was not seen may be
  bool in_table;             // the others are in the sentences: a table has its width
};

std::span<const Statistic> statistics();
const Statistic& statistic(std::string_view key);  // a failed check() for no such row
const Figure* find_statistic(const ModelResult& model, std::string_view key);  // null where there are none

// Of every scored token: what the statistic is the mean of, and nats above the source. The scores know their
// divergence.
std::vector<double> values_of(const Statistic& statistic, const Comparison& comparison);
std::vector<double> differences_of(const Comparison& comparison);

Measure measure_statistic(const Statistic& statistic, const Comparison& comparison);

// Nats per token above the source: paired.
Measure measure_difference(const Comparison& comparison);

// The median, 90, 95, 99 and 99.9 percentiles and the maximum.
std::vector<Quantile> upper_quantiles(std::span<const double> values);

}  // namespace regroup::eval
