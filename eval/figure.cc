#include "eval/figure.h"

#include <algorithm>
#include <cmath>

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
  const double width = measure.without_spread()
                           ? unseen_share(estimate.clusters, confidence) * measure.reach
                           : one_sided_width(estimate, confidence) * *estimate.standard_error;
  const auto end = [&](double mean) {
    return transformed(measure.transform, std::clamp(mean, measure.range.low, measure.range.high));
  };
  return Interval{end(estimate.mean - width), end(estimate.mean + width)};
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
  if (figure.error) result.error = factor * *figure.error;
  if (figure.interval) result.interval = {factor * figure.interval->low, factor * figure.interval->high};
  return result;
}

}  // namespace regroup::eval
