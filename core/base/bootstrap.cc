#include "core/base/bootstrap.h"

#include <algorithm>
#include <boost/math/distributions/normal.hpp>
#include <cmath>
#include <numeric>

#include "core/base/error.h"
#include "core/base/random.h"

namespace regroup {
namespace {

double sum_of(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.);
}

// The means of all replicates, ascending.
std::vector<double> replicate_means(const ClusterTotals& totals, std::int64_t replicates,
                                    std::uint64_t seed) {
  RandomStream random(seed, "bootstrap");
  const std::size_t clusters = totals.sums.size();
  std::vector<double> means;
  for (std::int64_t r = 0; r < replicates; ++r) {
    double sum = 0, size = 0;
    for (std::size_t draw = 0; draw < clusters; ++draw) {
      const auto cluster = static_cast<std::size_t>(random.below(clusters));
      sum += totals.sums[cluster];
      size += totals.sizes[cluster];
    }
    means.push_back(sum / size);
  }
  std::ranges::sort(means);
  return means;
}

// A sixth of the skewness of the estimate, from leaving each cluster out.
double acceleration(const ClusterTotals& totals) {
  const double sum = sum_of(totals.sums), size = sum_of(totals.sizes);
  std::vector<double> without;
  for (std::size_t c = 0; c < totals.sums.size(); ++c)
    without.push_back((sum - totals.sums[c]) / (size - totals.sizes[c]));
  const double mean = sum_of(without) / static_cast<double>(without.size());
  double squares = 0, cubes = 0;
  for (const double value : without) {
    squares += std::pow(mean - value, 2);
    cubes += std::pow(mean - value, 3);
  }
  return squares > 0 ? cubes / (6 * std::pow(squares, 1.5)) : 0;
}

// Of the estimate among the replicates, as a normal deviate: 0 where as many are below as above.
double median_bias(const std::vector<double>& means, double estimate) {
  const auto [first, last] = std::ranges::equal_range(means, estimate);
  const auto below = static_cast<double>(first - means.begin()) + 0.5 * static_cast<double>(last - first);
  const auto all = static_cast<double>(means.size());
  return normal_quantile(std::clamp(below / all, 0.5 / all, 1 - 0.5 / all));
}

}  // namespace

ClusterTotals cluster_totals(std::span<const double> values, std::span<const std::int64_t> ends) {
  check(!ends.empty() && ends.back() == std::ssize(values), "clusters must cover all observations");
  ClusterTotals totals;
  std::size_t begin = 0;
  for (const std::int64_t end : ends) {
    const auto part = values.subspan(begin, static_cast<std::size_t>(end) - begin);
    totals.sums.push_back(std::accumulate(part.begin(), part.end(), 0.));
    totals.sizes.push_back(static_cast<double>(part.size()));
    begin = static_cast<std::size_t>(end);
  }
  return totals;
}

std::optional<Interval> bootstrap_interval(const ClusterTotals& totals, double confidence,
                                           std::int64_t replicates, std::uint64_t seed) {
  const std::int64_t clusters = std::ssize(totals.sums);
  if (clusters < kLeastResampledClusters) return std::nullopt;
  const std::vector<double> means = replicate_means(totals, replicates, seed);
  if (means.front() == means.back()) return std::nullopt;
  const auto count = static_cast<double>(clusters);
  const double deviate = std::sqrt(count / (count - 1)) * student_t_quantile((1 + confidence) / 2, count - 1);
  const double bias = median_bias(means, sum_of(totals.sums) / sum_of(totals.sizes));
  const double skew = acceleration(totals);
  const auto end = [&](double side) {
    const double shifted = bias + side;
    const double at =
        boost::math::cdf(boost::math::normal(), bias + shifted / std::max(1 - skew * shifted, 0.1));
    return quantile_of_sorted(means, at);
  };
  return Interval{end(-deviate), end(deviate)};
}

}  // namespace regroup
