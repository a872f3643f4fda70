// From every token's nats under every model to figures with errors.
#pragma once

#include <span>

#include "eval/clusters.h"
#include "eval/result.h"
#include "eval/score.h"

namespace regroup::eval {

// Fills the figures, differences to the first model, statistics and gate decisions of `result`, whose models,
// gates and confidence are set. `scores[m]` are model m's, of the same tokens; without divergences there are
// no statistics.
void compare_models(std::span<const Scores> scores, const Clusters& clusters, Result& result);

}  // namespace regroup::eval
