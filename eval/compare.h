// From every token's nats under every model to figures with errors.
#pragma once

#include <span>

#include "eval/baseline.h"
#include "eval/clusters.h"
#include "eval/result.h"
#include "eval/score.h"
#include "eval/scored_text.h"

namespace regroup::eval {

// Fills the figures, differences to the first model and to the baseline, statistics, bootstrap intervals and
// gate decisions of `result`, whose models, gates, confidence, replicates and seed are set. `scores[m]` are
// model m's, of the same tokens; without divergences there are no statistics.
void compare_models(std::span<const Scores> scores, const Clusters& clusters, Result& result,
                    const Baseline* baseline = nullptr);

// The whole of a text is scored, so that its bytes are those of the scored tokens.
bool bytes_are_scored(const Result& result);

// Fills where models lose: parts and passages (breakdown.h, passages.h).
void locate_losses(std::span<const Scores> scores, const Clusters& clusters, const ScoredText& text,
                   Result& result);

}  // namespace regroup::eval
