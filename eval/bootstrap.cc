#include "eval/bootstrap.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>

#include "core/base/bootstrap.h"
#include "eval/figure.h"
#include "eval/text.h"

namespace regroup::eval {
namespace {

// A resampled figure beside the one it belongs to. (The perplexity ratio says what the difference says.)
struct Row {
  std::string_view key, title;
  int decimals;
  const Figure* (*figure)(const ModelResult& model);
};

const Figure* pointer_to(const std::optional<Figure>& figure) {
  return figure ? &*figure : nullptr;
}

constexpr Row kRows[] = {
    {"difference", "difference to the source", 4,
     [](const ModelResult& model) { return pointer_to(model.difference); }},
    {"kl_divergence", "KL divergence", 5,
     [](const ModelResult& model) { return find_statistic(model, "kl_divergence"); }},
    {"same_top", "same top", 4, [](const ModelResult& model) { return find_statistic(model, "same_top"); }},
};

bool disagree(const Interval& resampled, const Interval& other) {
  const double most = kDisagreement * (other.high - other.low) / 2;
  return std::abs(resampled.low - other.low) > most || std::abs(resampled.high - other.high) > most;
}

}  // namespace

std::int64_t least_replicates(double confidence) {
  return std::llround(std::ceil(10 / (1 - confidence) - 1e-6));
}

std::vector<ResampledFigure> resample(const Comparison& comparison, double confidence,
                                      std::int64_t replicates, std::uint64_t seed) {
  std::vector<ResampledFigure> figures;
  const auto add = [&](std::string_view key, std::span<const double> values) {
    const auto interval =
        bootstrap_interval(cluster_totals(values, comparison.clusters.ends), confidence, replicates, seed);
    if (interval) figures.push_back({std::string(key), *interval});
  };
  add("difference", differences_of(comparison));
  if (!figures.empty()) {
    const auto [low, high] = figures.front().interval;
    figures.push_back({"perplexity_ratio", {std::exp(low), std::exp(high)}});
  }
  if (comparison.scores.kl.empty()) return figures;
  for (const Statistic& row : statistics())
    if (row.in_table) add(row.key, values_of(row, comparison));
  return figures;
}

std::string bootstrap_sentence(const ModelResult& model, const Result& result) {
  std::vector<std::string> parts;
  for (const ResampledFigure& resampled : model.resampled)
    for (const Row& row : kRows) {
      if (row.key != resampled.key) continue;
      const Figure* figure = row.figure(model);
      if (figure && figure->interval && disagree(resampled.interval, *figure->interval))
        parts.push_back(fmt::format("{} {} instead of {}", row.title,
                                    interval_text(resampled.interval, row.decimals),
                                    interval_text(*figure->interval, row.decimals)));
    }
  if (parts.empty()) return "";
  return fmt::format("{}, by {} resamples of its {}s: {}. The errors are not symmetric: take the outer ends.",
                     model.facts.name, grouped(result.replicates), result.cluster_unit,
                     fmt::join(parts, "; "));
}

}  // namespace regroup::eval
