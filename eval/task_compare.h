// From what models got right to figures with errors, and to the decisions that hang on them. Examples are
// taken as independent.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/base/statistics.h"
#include "eval/baseline.h"
#include "eval/result.h"
#include "eval/task.h"
#include "eval/task_scores.h"

namespace regroup::eval {

using TaskOutcomes = std::vector<std::vector<Outcome>>;  // by task, then by example

// Wilson's score interval for a share (Wilson 1927); unlike mean ± t errors it has a width at 0 and 1.
Interval wilson_interval(std::int64_t right, std::int64_t examples, double confidence);

// P(at most min(worse, better) of worse + better fair coins, or as extreme on the other side): McNemar's
// exact test of whether two models, of which one got `worse` examples wrong that the other got right and
// `better` the other way round, are equally good.
double mcnemar_p(std::int64_t worse, std::int64_t better);

// The share of examples lost, (worse - better) / examples, half an example added to each of the four cells of
// the table: an error that is right for few examples and not 0 where no answer changed (Agresti & Min 2005,
// Simple improved confidence intervals for comparing matched proportions).
Estimate loss_estimate(std::int64_t worse, std::int64_t better, std::int64_t examples);

// Fills `tasks` of every model of `result`, and after the decisions that they have those on the gates of
// tasks. `outcomes[m]` are model m's, the source first. With a `baseline` that has them, what has changed
// since.
void compare_tasks(std::span<const TaskData> tasks, std::span<const TaskOutcomes> outcomes, Result& result,
                   const Baseline* baseline = nullptr);

// One JSON object an example: what each model made of it (docs/reports.md).
std::string per_example_lines(std::span<const TaskData> tasks, std::span<const TaskOutcomes> outcomes,
                              const Result& result);

}  // namespace regroup::eval
