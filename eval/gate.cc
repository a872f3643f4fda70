#include "eval/gate.h"

#include <algorithm>
#include <cmath>

#include "core/base/error.h"

namespace regroup::eval {
namespace {

constexpr GateKind kAll[] = {
    {.key = "max_ppl_ratio",
     .flag = "--max-ppl-ratio",
     .subject = "perplexity ratio",
     .expected = "a positive number, such as 1.02",
     .at_least = false,
     .budget = &Options::max_ppl_ratio,
     .valid = [](double budget) { return budget > 0 && budget < 1e6; },
     .measure =
         [](const Comparison& comparison) {
           Measure measure = measure_difference(comparison);
           measure.transform = Transform::kExponential;
           return measure;
         }},
    {.key = "max_kl",
     .flag = "--max-kl",
     .subject = "KL divergence",
     .expected = "nats per token, such as 0.05",
     .at_least = false,
     .budget = &Options::max_kl,
     .valid = [](double budget) { return budget >= 0 && budget < 1e6; },
     .measure =
         [](const Comparison& comparison) {
           return measure_statistic(statistic("kl_divergence"), comparison);
         }},
    {.key = "min_same_top",
     .flag = "--min-same-top",
     .subject = "same-top share",
     .expected = "a share from 0 to 1, such as 0.95",
     .at_least = true,
     .budget = &Options::min_same_top,
     .valid = [](double budget) { return budget >= 0 && budget <= 1; },
     .measure =
         [](const Comparison& comparison) { return measure_statistic(statistic("same_top"), comparison); }},
    {.key = "max_baseline_ratio",
     .flag = "--max-baseline-ratio",
     .subject = "perplexity over the baseline's",
     .expected = "a positive number, such as 1.01",
     .at_least = false,
     .budget = &Options::max_baseline_ratio,
     .valid = [](double budget) { return budget > 0 && budget < 1e6; },
     .measure =
         [](const Comparison& comparison) {
           check(comparison.since_baseline.has_value(), "a model of the gate is in the baseline");
           return *comparison.since_baseline;
         }},
    {.key = "max_task_drop",
     .flag = "--max-task-drop",
     .subject = "accuracy drop in points",
     .expected = "points of accuracy from 0 to 100, such as 1",
     .at_least = false,
     .budget = &Options::max_task_drop,
     .valid = [](double budget) { return budget >= 0 && budget <= 100; },
     .measure = nullptr},
};

// `toward`: on which side of the mean the budget is.
std::optional<std::int64_t> more_tokens(const Estimate& estimate, double margin, double toward,
                                        double confidence) {
  constexpr double kPower = 0.8;
  const BoundWidths bounds = bound_widths(estimate, confidence);
  const double widths = (toward > 0 ? bounds.above : bounds.below) + normal_quantile(kPower);
  const double times = std::pow(widths * *estimate.standard_error / margin, 2);
  const double more = (times - 1) * static_cast<double>(estimate.observations);
  if (!(more < 1e15)) return std::nullopt;
  return std::llround(more);
}

}  // namespace

std::span<const GateKind> gate_kinds() {
  return kAll;
}

const GateKind& kind_of(const Gate& gate) {
  check(gate.kind < std::size(kAll), "a gate has a kind");
  return kAll[gate.kind];
}

const Gate* find_gate(const Result& result, std::string_view key) {
  const auto gate = std::ranges::find(result.gates, key, [](const Gate& each) { return kind_of(each).key; });
  return gate == result.gates.end() ? nullptr : &*gate;
}

std::string subject_of(const Gate& gate) {
  const std::string subject(kind_of(gate).subject);
  return gate.task.empty() ? subject : subject + " on " + gate.task;
}

GateDecision decide(const Measure& measure, const Gate& gate) {
  GateDecision decision{.bounds = one_sided_bounds(measure, gate.confidence)};
  if (!decision.bounds) return decision;
  const auto [low, high] = *decision.bounds;
  const bool at_least = kind_of(gate).at_least;
  if (at_least ? low >= gate.budget : high <= gate.budget) {
    decision.verdict = Verdict::kPass;
  } else if (at_least ? high < gate.budget : low > gate.budget) {
    decision.verdict = Verdict::kFail;
  } else {
    const double toward = mean_of(measure.transform, gate.budget) - measure.estimate.mean,
                 margin = std::abs(toward);
    decision.more_tokens = measure.without_spread()
                               ? more_without_spread(measure, margin, gate.confidence)
                               : more_tokens(measure.estimate, margin, toward, gate.confidence);
  }
  return decision;
}

int exit_code(const Result& result) {
  if (!result.verdict || *result.verdict == Verdict::kPass) return 0;
  return *result.verdict == Verdict::kFail ? 1 : 4;
}

}  // namespace regroup::eval
