#include "core/base/statistics.h"

#include <algorithm>
#include <boost/math/distributions/normal.hpp>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>
#include <vector>

#include "core/base/error.h"

namespace regroup {
namespace {

// Neumaier's variant of Kahan summation.
class Sum {
 public:
  void add(double value) {
    const double next = total_ + value;
    lost_ += std::abs(total_) >= std::abs(value) ? (total_ - next) + value : (value - next) + total_;
    total_ = next;
  }
  double value() const { return total_ + lost_; }

 private:
  double total_ = 0, lost_ = 0;
};

template <typename At>
Estimate estimate_mean(std::int64_t size, std::span<const std::int64_t> ends, const At& at) {
  check(!ends.empty() && ends.front() > 0 && ends.back() == size, "clusters must cover all observations");
  std::vector<double> sums, counts;
  Sum total;
  std::int64_t begin = 0;
  for (const std::int64_t end : ends) {
    check(end > begin, "a cluster must hold an observation");
    Sum sum;
    for (std::int64_t i = begin; i < end; ++i) sum.add(at(static_cast<std::size_t>(i)));
    sums.push_back(sum.value());
    counts.push_back(static_cast<double>(end - begin));
    total.add(sum.value());
    begin = end;
  }
  const auto clusters = static_cast<double>(ends.size()), n = static_cast<double>(size);
  Estimate estimate{
      .mean = total.value() / n, .clusters = static_cast<std::int64_t>(ends.size()), .observations = size};
  if (ends.size() < 2) return estimate;
  Sum squares, cubes;
  for (std::size_t c = 0; c < sums.size(); ++c) {
    const double apart = (sums[c] - estimate.mean * counts[c]) / (n - counts[c]);
    squares.add(apart * apart);
    cubes.add(apart * apart * apart);
  }
  estimate.standard_error = std::sqrt((clusters - 1) / clusters * squares.value());
  estimate.degrees = std::max(1., effective_clusters(ends) - 1);
  if (squares.value() > 0)
    estimate.skewness = std::sqrt(clusters) * cubes.value() / std::pow(squares.value(), 1.5);
  return estimate;
}

// Where t is so many standard errors from the mean, whose distribution has the skewness of C draws: the
// inverse of Hall's transformation, which makes the ratio of the error to its estimate symmetric.
double halls_bound(const Estimate& estimate, double t) {
  const double a = estimate.skewness / std::sqrt(static_cast<double>(estimate.clusters));
  if (std::abs(a) < 1e-6) return t;
  return 3 / a * (std::cbrt(1 + a * t - a * a / 6) - 1);
}

}  // namespace

Estimate clustered_mean(std::span<const double> values, std::span<const std::int64_t> ends) {
  return estimate_mean(std::ssize(values), ends, [&](std::size_t i) { return values[i]; });
}

Estimate clustered_mean_difference(std::span<const double> values, std::span<const double> reference,
                                   std::span<const std::int64_t> ends) {
  check(values.size() == reference.size(), "a paired difference needs pairs");
  return estimate_mean(std::ssize(values), ends, [&](std::size_t i) { return values[i] - reference[i]; });
}

double student_t_quantile(double probability, double degrees) {
  return boost::math::quantile(boost::math::students_t(degrees), probability);
}

double normal_quantile(double probability) {
  return boost::math::quantile(boost::math::normal(), probability);
}

double unseen_share(std::int64_t clusters, double confidence) {
  check(clusters > 0, "something was seen");
  return -std::expm1(std::log1p(-confidence) / static_cast<double>(clusters));
}

double quantile_of_sorted(std::span<const double> sorted, double probability) {
  check(!sorted.empty(), "a quantile needs a value");
  const double at = probability * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(at);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (at - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

double effective_clusters(std::span<const std::int64_t> ends) {
  double squares = 0;
  std::int64_t begin = 0;
  for (const std::int64_t end : ends) {
    squares += std::pow(static_cast<double>(end - begin), 2);
    begin = end;
  }
  return std::pow(static_cast<double>(ends.back()), 2) / squares;
}

BoundWidths bound_widths(const Estimate& estimate, double confidence) {
  check(estimate.clusters >= 2 && estimate.degrees > 0, "an interval needs two clusters");
  const double t = student_t_quantile(confidence, estimate.degrees);
  return {.below = std::max(t, halls_bound(estimate, t)), .above = std::max(t, -halls_bound(estimate, -t))};
}

std::optional<Interval> confidence_interval(const Estimate& estimate, double confidence) {
  if (!estimate.standard_error) return std::nullopt;
  const BoundWidths widths = bound_widths(estimate, (1 + confidence) / 2);
  return Interval{estimate.mean - widths.below * *estimate.standard_error,
                  estimate.mean + widths.above * *estimate.standard_error};
}

}  // namespace regroup
