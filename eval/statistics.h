// What two models' predictions of the same tokens say of each other, one row each.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "core/base/statistics.h"
#include "eval/clusters.h"
#include "eval/result.h"
#include "eval/score.h"

namespace regroup::eval {

// One token under a model and under the source.
struct TokenPair {
  double nats = 0, source_nats = 0;
  double kl = 0;  // KL(source || model)
  bool same_top = false;
};

// The mean of `of` over all scored tokens, or its square root. Names as llama-perplexity --kl-divergence
// prints them.
struct Statistic {
  std::string_view key, title, summary;  // in JSON; as a column; one sentence
  double scale;                          // what reports multiply by: 100 for shares
  int decimals;
  double (*of)(const TokenPair& pair);
  bool root;
};

std::span<const Statistic> statistics();
const Statistic& statistic(std::string_view key);  // a failed check() for no such row

// `scores` know their divergence. The error of a root is to first order.
Estimate estimate_statistic(const Statistic& statistic, const Scores& scores, const Scores& source,
                            const Clusters& clusters);

// The median, 90, 95, 99 and 99.9 percentiles and the maximum: linear interpolation between order
// statistics, numpy's default.
std::vector<Quantile> upper_quantiles(std::span<const double> values);

}  // namespace regroup::eval
