#include "eval/figure.h"

#include <algorithm>
#include <cmath>
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
    unit = unseen_share(estimate.clusters, confidence) * measure.reach;
    widths = {.below = 1, .above = 1};
  } else {
    widths = bound_widths(estimate, confidence);
  }
  const auto end = [&](double mean) {
    return transformed(measure.transform, std::clamp(mean, measure.range.low, measure.range.high));
  };
  return Interval{end(estimate.mean - widths.below * unit), end(estimate.mean + widths.above * unit)};
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
