// Bootstrap intervals beside those of Student's t: the same figures, no assumption on their distribution.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "eval/result.h"
#include "eval/statistics.h"

namespace regroup::eval {

// That the percentiles of an interval with this confidence can be taken of: five beyond either end.
std::int64_t least_replicates(double confidence);

// Of the difference, the ratio and the statistics that the table shows. Empty with too few clusters; figures
// without a spread are left out (core/base/bootstrap.h).
std::vector<ResampledFigure> resample(const Comparison& comparison, double confidence,
                                      std::int64_t replicates, std::uint64_t seed);

// Beyond this part of the t interval's half width, at either end, the two are said to disagree.
inline constexpr double kDisagreement = 0.2;

// Which figures' two intervals disagree, with both; empty where none does or nothing was resampled.
std::string bootstrap_sentence(const ModelResult& model, const Result& result);

}  // namespace regroup::eval
