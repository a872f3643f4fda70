// From every token's nats under every model to figures with errors.
#pragma once

#include <span>
#include <vector>

#include "core/base/statistics.h"
#include "eval/clusters.h"
#include "eval/result.h"

namespace regroup::eval {

Figure plain_figure(const Estimate& estimate, double confidence);
// exp of the mean, its error to first order, its interval exactly.
Figure exponential_figure(const Estimate& estimate, double confidence);

// Fills the figures, differences to the first model and gate decisions of `result`, whose models, gate and
// confidence are set. `nats[m]` are the scored tokens' negative log-likelihoods under model m, all equally
// long.
void compare_models(std::span<const std::vector<double>> nats, const Clusters& clusters, Result& result);

}  // namespace regroup::eval
