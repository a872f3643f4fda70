#include "eval/figure.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>

namespace regroup::eval {
namespace {

double slope(Transform transform, double value) {
  switch (transform) {
    case Transform::kRoot:
      return value > 0 ? 0.5 / std::sqrt(value) : 0;
    case Transform::kExponential:
      return std::exp(value);
    case Transform::kNone:
      break;
  }
  return 1;
}

// In units of what one token can move the mean: where the bound is if one has been off so far. The other
// tokens agree, so leaving clusters out has the skewness of one in C.
double bound_of_one_token(const Estimate& seen, double confidence) {
  const auto clusters = static_cast<double>(seen.clusters);
  Estimate one = seen;
  one.standard_error = 1;
  one.skewness = (clusters - 2) / std::sqrt(clusters - 1);
  return 1 + bound_widths(one, confidence).above;
}

double bound_without_spread(const Measure& measure, double confidence) {
  const Estimate& seen = measure.estimate;
  return measure.reach *
         std::min(bound_of_one_token(seen, confidence) / static_cast<double>(seen.observations),
                  unseen_share(seen.clusters, confidence));
}

}  // namespace

double transformed(Transform transform, double value) {
  switch (transform) {
    case Transform::kRoot:
      return std::sqrt(value);
    case Transform::kExponential:
      return std::exp(value);
    case Transform::kNone:
      break;
  }
  return value;
}

double mean_of(Transform transform, double value) {
  switch (transform) {
    case Transform::kRoot:
      return value * value;
    case Transform::kExponential:
      return std::log(value);
    case Transform::kNone:
      break;
  }
  return value;
}

std::optional<Interval> one_sided_bounds(const Measure& measure, double confidence) {
  const Estimate& estimate = measure.estimate;
  if (!estimate.standard_error) return std::nullopt;
  BoundWidths widths;
  double unit = *estimate.standard_error;
  if (measure.without_spread()) {
    unit = bound_without_spread(measure, confidence);
    widths = {.below = 1, .above = 1};
  } else {
    widths = bound_widths(estimate, confidence);
  }
  const auto end = [&](double mean) {
    return transformed(measure.transform, std::clamp(mean, measure.range.low, measure.range.high));
  };
  return Interval{end(estimate.mean - widths.below * unit), end(estimate.mean + widths.above * unit)};
}

std::optional<std::int64_t> more_without_spread(const Measure& measure, double margin, double confidence) {
  const Estimate& seen = measure.estimate;
  const double share = margin / measure.reach;
  if (!(share > 1e-12 && share < 1)) return std::nullopt;
  double wanted = bound_of_one_token(seen, confidence) / share;
  if (seen.clusters == seen.observations)
    wanted = std::min(wanted, std::log1p(-confidence) / std::log1p(-share));
  return static_cast<std::int64_t>(std::ceil(wanted)) - seen.observations;
}

Figure figure_of(const Measure& measure, double confidence) {
  Figure figure{.value = transformed(measure.transform, measure.estimate.mean)};
  figure.interval = one_sided_bounds(measure, (1 + confidence) / 2);
  if (measure.estimate.standard_error && !measure.without_spread())
    figure.error = slope(measure.transform, measure.estimate.mean) * *measure.estimate.standard_error;
  return figure;
}

Figure scaled(const Figure& figure, double factor) {
  Figure result{.value = factor * figure.value};
  if (figure.error) result.error = std::abs(factor) * *figure.error;
  if (!figure.interval) return result;
  result.interval = {factor * figure.interval->low, factor * figure.interval->high};
  if (factor < 0) std::swap(result.interval->low, result.interval->high);
  return result;
}

}  // namespace regroup::eval
