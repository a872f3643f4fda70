// Means with honest errors. Observations within a cluster (a document, a stretch of text) are correlated;
// clusters are taken as independent. Treating tokens as independent would claim errors several times too
// small.
//
// With S_c the sum and n_c the number of observations in cluster c of C, N = sum n_c, the mean is the ratio
// of two totals over clusters, r = sum S_c / N. What leaving a cluster out does to it is d_c = (r n_c - S_c)
// / (N - n_c), and its variance is the jackknife's:
//
//   se^2 = (C-1)/C * sum d_c^2
//
// which for equal clusters is the textbook's, and does not forgive a large cluster that it draws the mean to
// itself (Cochran 1977, Sampling Techniques, on ratio estimators; Cameron & Miller 2015, A Practitioner's
// Guide to Cluster-Robust Inference). Bounds are Student's t with N^2 / sum n_c^2 - 1 degrees of freedom: C -
// 1 for equal clusters, fewer, at least 1, for unequal ones. Where the d_c are skewed, so is the mean, and
// t's bound on the long side is passed too often: there Hall's bound (Hall 1992, On the Removal of Skewness
// by Transformation) is the farther one, and is taken.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

namespace regroup {

struct Interval {
  double low = 0, high = 0;
};

struct Estimate {
  double mean = 0;
  std::optional<double> standard_error = {};  // none with fewer than two clusters: nothing can be said
  std::int64_t clusters = 0, observations = 0;
  double degrees = 0;   // of freedom
  double skewness = 0;  // of what leaving a cluster out does, turned so that it is that of the values
};

// The mean of `values`, at least one, whose cluster c is [ends[c-1], ends[c]); `ends` is strictly ascending
// and its last element is the number of values. Sums are compensated: the result does not depend on their
// number.
Estimate clustered_mean(std::span<const double> values, std::span<const std::int64_t> ends);

// The same for values[i] - reference[i]: what both have in common cancels before the error is taken.
Estimate clustered_mean_difference(std::span<const double> values, std::span<const double> reference,
                                   std::span<const std::int64_t> ends);

// x with P(X <= x) = probability, X Student's t with `degrees` > 0 degrees of freedom; 0 < probability < 1.
double student_t_quantile(double probability, double degrees);
double normal_quantile(double probability);

// The largest share that clusters unlike all of C seen ones can have, with this confidence: the share with
// (1 - share)^C = 1 - confidence, about 3/C at 95%: the rule of three (Hanley & Lippman-Hand 1983, If nothing
// goes wrong, is everything all right?). C > 0.
double unseen_share(std::int64_t clusters, double confidence);

// Of values in ascending order, at least one: linear interpolation between order statistics, numpy's default.
double quantile_of_sorted(std::span<const double> sorted, double probability);

// N^2 / sum n_c^2: as many equal clusters would bear as much. `ends` as for clustered_mean().
double effective_clusters(std::span<const std::int64_t> ends);

// How many standard errors one-sided bounds of this confidence are below and above the mean: Student's t, or
// Hall's where that is farther. Two clusters or more.
struct BoundWidths {
  double below = 0, above = 0;
};
BoundWidths bound_widths(const Estimate& estimate, double confidence);

// Two-sided interval for the mean: both ends at bound_widths((1 + confidence) / 2). Empty without an
// error.
std::optional<Interval> confidence_interval(const Estimate& estimate, double confidence);

}  // namespace regroup
