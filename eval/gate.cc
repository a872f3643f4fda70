#include "eval/gate.h"

#include <algorithm>
#include <cmath>

#include "core/base/error.h"
#include "eval/statistics.h"

namespace regroup::eval {
namespace {

constexpr GateKind kAll[] = {
    {.key = "max_ppl_ratio",
     .flag = "--max-ppl-ratio",
     .subject = "perplexity ratio",
     .expected = "a positive number, such as 1.02",
     .at_least = false,
     .logarithmic = true,
     .budget = &Options::max_ppl_ratio,
     .valid = [](double budget) { return budget > 0 && budget < 1e6; },
     .estimate =
         [](const Scores& scores, const Scores& source, const Clusters& clusters) {
           return clustered_mean_difference(scores.nats, source.nats, clusters.ends);
         }},
    {.key = "max_kl",
     .flag = "--max-kl",
     .subject = "KL divergence",
     .expected = "nats per token, such as 0.05",
     .at_least = false,
     .logarithmic = false,
     .budget = &Options::max_kl,
     .valid = [](double budget) { return budget >= 0 && budget < 1e6; },
     .estimate =
         [](const Scores& scores, const Scores& source, const Clusters& clusters) {
           return estimate_statistic(statistic("kl_divergence"), scores, source, clusters);
         }},
    {.key = "min_same_top",
     .flag = "--min-same-top",
     .subject = "same-top share",
     .expected = "a share from 0 to 1, such as 0.95",
     .at_least = true,
     .logarithmic = false,
     .budget = &Options::min_same_top,
     .valid = [](double budget) { return budget >= 0 && budget <= 1; },
     .estimate =
         [](const Scores& scores, const Scores& source, const Clusters& clusters) {
           return estimate_statistic(statistic("same_top"), scores, source, clusters);
         }},
    {.key = "max_task_drop",
     .flag = "--max-task-drop",
     .subject = "accuracy drop in points",
     .expected = "points of accuracy from 0 to 100, such as 1",
     .at_least = false,
     .logarithmic = false,
     .budget = &Options::max_task_drop,
     .valid = [](double budget) { return budget >= 0 && budget <= 100; },
     .estimate = nullptr},
};

std::optional<std::int64_t> more_tokens(const Estimate& estimate, double budget, double width) {
  constexpr double kPower = 0.8;
  const double margin = std::abs(estimate.mean - budget);
  const double times = std::pow((width + normal_quantile(kPower)) * *estimate.standard_error / margin, 2);
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

std::string subject_of(const Gate& gate) {
  const std::string subject(kind_of(gate).subject);
  return gate.task.empty() ? subject : subject + " on " + gate.task;
}

GateDecision decide(const Estimate& estimate, const Gate& gate) {
  const GateKind& kind = kind_of(gate);
  GateDecision decision;
  if (!estimate.standard_error) return decision;
  const double width = one_sided_width(estimate, gate.confidence), error = *estimate.standard_error;
  const auto figure = [&](double value) { return kind.logarithmic ? std::exp(value) : value; };
  const double low = figure(estimate.mean - width * error), high = figure(estimate.mean + width * error);
  decision.bounds = {low, high};
  if (kind.at_least ? low >= gate.budget : high <= gate.budget)
    decision.verdict = Verdict::kPass;
  else if (kind.at_least ? high < gate.budget : low > gate.budget)
    decision.verdict = Verdict::kFail;
  else
    decision.more_tokens =
        more_tokens(estimate, kind.logarithmic ? std::log(gate.budget) : gate.budget, width);
  return decision;
}

int exit_code(const Result& result) {
  if (!result.verdict || *result.verdict == Verdict::kPass) return 0;
  return *result.verdict == Verdict::kFail ? 1 : 4;
}

}  // namespace regroup::eval
