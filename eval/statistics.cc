#include "eval/statistics.h"

#include <algorithm>
#include <cmath>

#include "core/base/error.h"

namespace regroup::eval {
namespace {

double probability_change(const TokenPair& pair) {
  return std::exp(-pair.nats) - std::exp(-pair.source_nats);
}

constexpr Statistic kAll[] = {
    {"kl_divergence", "KL to source", "KL divergence from the source's distribution, nats per token.", 1, 5,
     [](const TokenPair& pair) { return pair.kl; }, false},
    {"same_top", "same top, %", "Share of tokens for which both models have the same first choice.", 100, 2,
     [](const TokenPair& pair) { return pair.same_top ? 1. : 0.; }, false},
    {"probability_change", "mean Δp, %", "Change of the probability of the true token.", 100, 3,
     probability_change, false},
    {"rms_probability_change", "RMS Δp, %", "Root mean square change of the probability of the true token.",
     100, 3, [](const TokenPair& pair) { return std::pow(probability_change(pair), 2); }, true},
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

Estimate estimate_statistic(const Statistic& statistic, const Scores& scores, const Scores& source,
                            const Clusters& clusters) {
  check(scores.kl.size() == scores.nats.size() && scores.top.size() == scores.nats.size() &&
            source.nats.size() == scores.nats.size() && source.top.size() == scores.nats.size(),
        "both models know the same tokens, and their divergence");
  std::vector<double> values(scores.nats.size());
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = statistic.of({.nats = scores.nats[i],
                              .source_nats = source.nats[i],
                              .kl = scores.kl[i],
                              .same_top = scores.top[i] == source.top[i]});
  Estimate estimate = clustered_mean(values, clusters.ends);
  if (!statistic.root) return estimate;
  estimate.mean = std::sqrt(estimate.mean);
  if (estimate.standard_error && estimate.mean > 0) *estimate.standard_error /= 2 * estimate.mean;
  return estimate;
}

std::vector<Quantile> upper_quantiles(std::span<const double> values) {
  check(!values.empty(), "a quantile needs a value");
  std::vector<double> sorted(values.begin(), values.end());
  std::ranges::sort(sorted);
  std::vector<Quantile> quantiles;
  for (const double probability : {0.5, 0.9, 0.95, 0.99, 0.999, 1.}) {
    const double at = probability * static_cast<double>(sorted.size() - 1);
    const auto below = static_cast<std::size_t>(at);
    const std::size_t above = std::min(below + 1, sorted.size() - 1);
    const double part = at - static_cast<double>(below);
    quantiles.push_back({probability, sorted[below] + part * (sorted[above] - sorted[below])});
  }
  return quantiles;
}

}  // namespace regroup::eval
