// The refits behind the table in refit.cc.
#pragma once

#include "convert/refit.h"

namespace regroup::convert {

// A factor for all keys, found by trying, and one for all values, by least squares: what a merge's shrinking
// wants back, or its stretching away.
AttentionLayer fit_scale(const RefitProblem& problem, const AttentionLayer& student);

// A complex factor for every query head and rotary pair, by the divergence of attention from the source's.
AttentionLayer fit_query(const RefitProblem& problem, const AttentionLayer& student);

// W_O <- W_O + E[(y - W_O z) z^T] (E[z z^T] + lambda I)^-1 for heads' outputs z and targets y: least squares
// with a ridge towards what the merge gave, lambda 1e-3 of the mean diagonal.
AttentionLayer fit_ridge(const RefitProblem& problem, const AttentionLayer& student);

// Query, key, value and output projections by Adam on E‖output - target‖² / E‖target‖².
inline constexpr int kReconstructEpochs = 6;
AttentionLayer fit_reconstruct(const RefitProblem& problem, const AttentionLayer& student);

}  // namespace regroup::convert
