// The decisions a release hangs on: is what separates a model from the source within budget?
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "core/base/statistics.h"
#include "eval/clusters.h"
#include "eval/eval.h"
#include "eval/result.h"
#include "eval/score.h"

namespace regroup::eval {

// What a budget can be given for.
struct GateKind {
  std::string_view key, flag;          // in JSON; on the command line
  std::string_view subject, expected;  // "the … of MODEL"; what a budget looks like
  bool at_least;                       // the budget is a floor; else a ceiling
  bool logarithmic;                    // decided on the logarithm of figure and budget
  std::optional<double> Options::*budget;
  bool (*valid)(double budget);
  // Of the figure or its logarithm. Null: one of each task (task_compare.h), and a gate for each.
  Estimate (*estimate)(const Scores& scores, const Scores& source, const Clusters& clusters);
  bool of_tasks() const { return estimate == nullptr; }
};

std::span<const GateKind> gate_kinds();
const GateKind& kind_of(const Gate& gate);

// "perplexity ratio"; "accuracy drop in points on piqa"
std::string subject_of(const Gate& gate);

// `estimate` is that of the gate's kind. Pass: the one-sided confidence bound nearer to the wrong side of the
// budget is within it. Fail: the other bound is beyond it. Neither, or fewer than two clusters: cannot tell.
//
// more_tokens assumes that errors shrink with the square root of the text and that the figure stays; it is
// the number with which the decision falls in four of five cases. Empty when no number can be given.
GateDecision decide(const Estimate& estimate, const Gate& gate);

}  // namespace regroup::eval
