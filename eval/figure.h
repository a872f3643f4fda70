// From what was estimated over the tokens to what reports print: a figure with its error and its interval.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>

#include "core/base/statistics.h"
#include "eval/result.h"

namespace regroup::eval {

enum class Transform { kNone, kRoot, kExponential };  // all increasing where they are defined

struct Measure {
  Estimate estimate;  // of a mean over tokens
  Transform transform = Transform::kNone;
  // Of the mean: where it can lie at all.
  Interval range = {-std::numeric_limits<double>::infinity(), std::numeric_limits<double>::infinity()};
  // The most by which a token that was not seen can be away from the mean of those that were. 0: there is
  // nothing that was not seen.
  double reach = 0;

  // The clusters do not differ but for rounding, so their spread says nothing of what was not seen.
  bool without_spread() const { return estimate.standard_error.value_or(1) < 1e-12 && reach > 0; }
};

// Each end is a bound with this confidence, within the range, transformed. As far from the mean as
// bound_widths() say. Without a spread as far as it would be had one token been off by `reach`, so that a
// model which differs in nothing is never thought worse of than one that differs in a token; or as far as
// clusters unlike all those seen can move it, a share of them (unseen_share()) that is off by `reach`
// throughout, where that is nearer: where there are hardly more tokens than clusters. Empty where there is no
// error.
std::optional<Interval> one_sided_bounds(const Measure& measure, double confidence);

// Its error is to first order, and absent where the measure has no spread; its interval is two-sided.
Figure figure_of(const Measure& measure, double confidence);

// How many tokens more, all like those seen, would bring a bound without spread within `margin` of the mean.
// Empty when no number can be given.
std::optional<std::int64_t> more_without_spread(const Measure& measure, double margin, double confidence);

double transformed(Transform transform, double value);
double mean_of(Transform transform, double value);  // the inverse

Figure scaled(const Figure& figure, double factor);

}  // namespace regroup::eval
