// The decisions a release hangs on: is what separates a model from the source within budget?
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "core/base/statistics.h"
#include "eval/eval.h"
#include "eval/figure.h"
#include "eval/result.h"
#include "eval/statistics.h"

namespace regroup::eval {

// What a budget can be given for.
struct GateKind {
  std::string_view key, flag;          // in JSON; on the command line
  std::string_view subject, expected;  // "the … of MODEL"; what a budget looks like
  bool at_least;                       // the budget is a floor; else a ceiling
  std::optional<double> Options::*budget;
  bool (*valid)(double budget);
  // Null: one of each task (task_compare.h), and a gate for each.
  Measure (*measure)(const Comparison& comparison);
  bool of_tasks() const { return measure == nullptr; }
};

std::span<const GateKind> gate_kinds();
const GateKind& kind_of(const Gate& gate);
const Gate* find_gate(const Result& result, std::string_view key);  // null if no budget was given for it

// "perplexity ratio"; "accuracy drop in points on piqa"
std::string subject_of(const Gate& gate);

// `measure` is that of the gate's kind. Pass: the one-sided confidence bound nearer to the wrong side of the
// budget is within it. Fail: the other bound is beyond it. Neither, or fewer than two clusters: cannot tell.
//
// more_tokens assumes that errors shrink with the square root of the text and that the figure stays; it is
// the number with which the decision falls in four of five cases. Without a spread it is the number that
// decides if they are all like those seen. Empty when no number can be given.
GateDecision decide(const Measure& measure, const Gate& gate);

}  // namespace regroup::eval
