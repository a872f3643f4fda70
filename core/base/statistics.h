// Means with honest errors. Observations within a cluster (a document, a stretch of text) are correlated;
// clusters are taken as independent. Treating tokens as independent would claim errors several times too
// small.
//
// With S_c the sum and n_c the number of observations in cluster c of C, the mean is the ratio of two totals
// over clusters, r = sum S_c / sum n_c, and its variance is that of the linearised ratio:
//
//   se^2 = C/(C-1) * sum (S_c - r n_c)^2 / (sum n_c)^2
//
// (Cochran 1977, Sampling Techniques, on ratio estimators; Cameron & Miller 2015, A Practitioner's Guide to
// Cluster-Robust Inference, who also give Student's t with C-1 degrees of freedom for few clusters).
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

// How many standard errors a one-sided bound of this confidence is away from the mean: t with C-1 degrees.
double one_sided_width(const Estimate& estimate, double confidence);

// Two-sided interval for the mean: both ends at one_sided_width((1 + confidence) / 2). Empty without an
// error.
std::optional<Interval> confidence_interval(const Estimate& estimate, double confidence);

}  // namespace regroup
