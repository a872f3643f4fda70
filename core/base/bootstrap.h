// Intervals from resampled clusters: what the estimate would have been on other texts of the same kind, with
// no assumption on the shape of its distribution.
//
// A replicate draws C of the C clusters with replacement; its mean is the ratio of its totals. Ends are the
// percentiles of the replicates after Efron's BCa correction of median bias and skewness (Efron 1987, Better
// Bootstrap Confidence Intervals; the acceleration is the jackknife's), at levels widened from the normal to
// Student's t with C-1 degrees of freedom and by sqrt(C/(C-1)) (Hesterberg 2015, What Teachers Should Know
// About the Bootstrap: expanded percentiles): without that, intervals of 30 clusters are 6% too short.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "core/base/statistics.h"

namespace regroup {

struct ClusterTotals {
  std::vector<double> sums, sizes;
};

// Of `values` in clusters as for clustered_mean().
ClusterTotals cluster_totals(std::span<const double> values, std::span<const std::int64_t> ends);

// Fewer clusters than this leave too few different replicates: their intervals would be too short.
inline constexpr std::int64_t kLeastResampledClusters = 20;

// The same resamples for every figure of one (seed, replicates, number of clusters), so that intervals are
// the same again, and those of two figures are comparable. Empty with fewer clusters than the constant above,
// or where the replicates do not differ.
std::optional<Interval> bootstrap_interval(const ClusterTotals& totals, double confidence,
                                           std::int64_t replicates, std::uint64_t seed);

}  // namespace regroup
