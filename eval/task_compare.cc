#include "eval/task_compare.h"

#include <boost/math/distributions/binomial.hpp>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/base/error.h"
#include "core/base/json.h"
#include "eval/figure.h"
#include "eval/gate.h"
#include "eval/statistics.h"

namespace regroup::eval {
namespace {

// An accuracy that tasks may have, by lm-eval's name.
struct Accuracy {
  std::string_view key;
  bool (*applies)(const Task& task);
  bool (*right)(const Task& task, const Example& example, const Outcome& outcome);
};

constexpr Accuracy kAccuracies[] = {
    {"acc", [](const Task&) { return true; },
     [](const Task& task, const Example& example, const Outcome& outcome) {
       return task.greedy ? outcome.greedy : outcome.chosen == example.gold;
     }},
    {"acc_norm", [](const Task& task) { return task.normalized; },
     [](const Task&, const Example& example, const Outcome& outcome) {
       return outcome.chosen_per_character == example.gold;
     }},
};

std::vector<bool> right_answers(const TaskData& task, std::span<const Outcome> outcomes,
                                std::size_t accuracy) {
  check(outcomes.size() == task.examples.size(), "an outcome for each example");
  std::vector<bool> right;
  for (std::size_t i = 0; i < outcomes.size(); ++i)
    right.push_back(kAccuracies[accuracy].right(*task.task, task.examples[i], outcomes[i]));
  return right;
}

std::vector<std::int64_t> singles(std::size_t count) {
  std::vector<std::int64_t> ends(count);
  std::iota(ends.begin(), ends.end(), 1);
  return ends;
}

std::vector<double> as_numbers(const std::vector<bool>& right) {
  return {right.begin(), right.end()};
}

TaskAccuracy accuracy_of(const std::vector<bool>& right, double confidence) {
  const std::vector<double> values = as_numbers(right);
  const Estimate estimate = clustered_mean(values, singles(values.size()));
  Figure share{.value = estimate.mean,
               .interval = wilson_interval(std::ranges::count(right, true), std::ssize(right), confidence)};
  if (estimate.standard_error.value_or(0) > 0) share.error = estimate.standard_error;
  return {.key = {}, .share = share};
}

// How much accuracy a model has lost. The source itself has lost none.
Estimate loss_of(const TaskAccuracy& accuracy, std::int64_t examples, bool is_source) {
  Estimate loss = loss_estimate(accuracy.worse, accuracy.better, examples);
  if (!is_source) return loss;
  loss.mean = 0;
  if (loss.standard_error) loss.standard_error = 0;
  return loss;
}

void compare_accuracy(const std::vector<bool>& right, const std::vector<bool>& source, bool is_source,
                      double confidence, TaskAccuracy& accuracy) {
  for (std::size_t i = 0; i < right.size(); ++i) {
    accuracy.worse += source[i] && !right[i];
    accuracy.better += right[i] && !source[i];
  }
  const std::vector<double> ours = as_numbers(right), theirs = as_numbers(source);
  const Estimate paired = clustered_mean_difference(ours, theirs, singles(ours.size()));
  const Measure loss = {.estimate = loss_of(accuracy, std::ssize(right), is_source), .range = {-1, 1}};
  const std::optional<Interval> interval = figure_of(loss, confidence).interval;
  accuracy.difference = Figure{.value = paired.mean};
  if (is_source || paired.standard_error.value_or(0) > 0) accuracy.difference->error = paired.standard_error;
  if (interval) accuracy.difference->interval = {-interval->high, -interval->low};
  accuracy.mcnemar_p = mcnemar_p(accuracy.worse, accuracy.better);
}

std::vector<double> first_nats(std::span<const Outcome> outcomes) {
  std::vector<double> nats;
  for (const Outcome& outcome : outcomes) nats.push_back(outcome.nats.front());
  return nats;
}

// `source`: its outcomes; empty: these are its own. `is_source`: a model that is the source once more.
TaskFigures figures_of(const TaskData& task, std::span<const Outcome> outcomes,
                       std::span<const Outcome> source, bool is_source, double confidence) {
  TaskFigures figures;
  for (std::size_t a = 0; a < std::size(kAccuracies); ++a) {
    if (!kAccuracies[a].applies(*task.task)) continue;
    const std::vector<bool> right = right_answers(task, outcomes, a);
    TaskAccuracy accuracy = accuracy_of(right, confidence);
    accuracy.key = kAccuracies[a].key;
    if (!source.empty())
      compare_accuracy(right, right_answers(task, source, a), is_source, confidence, accuracy);
    figures.accuracies.push_back(std::move(accuracy));
  }
  if (!task.task->greedy) return figures;
  const std::vector<double> nats = first_nats(outcomes);
  const std::vector<std::int64_t> ends = singles(nats.size());
  const auto exponential = [&](const Estimate& estimate) {
    return figure_of({.estimate = estimate, .transform = Transform::kExponential}, confidence);
  };
  figures.perplexity = exponential(clustered_mean(nats, ends));
  if (!source.empty())
    figures.perplexity_ratio = exponential(clustered_mean_difference(nats, first_nats(source), ends));
  return figures;
}

// Paired where every example's answer is still there; else from the two shares, their errors taken as
// independent.
TaskChange change_since(const Baseline::TaskThen& then, const std::vector<bool>& right, const Figure& share,
                        double confidence) {
  if (then.right.size() == right.size()) {
    TaskAccuracy change;
    compare_accuracy(right, then.right, /*is_source=*/false, confidence, change);
    return {.share = *change.difference, .paired = true};
  }
  const auto examples = std::ssize(right);
  Measure measure{.estimate = {.mean = share.value - then.share.value,
                               .clusters = examples,
                               .observations = examples,
                               .degrees = static_cast<double>(std::max<std::ptrdiff_t>(1, examples - 1))},
                  .range = {-1, 1}};
  if (share.error && then.share.error)
    measure.estimate.standard_error = std::hypot(*share.error, *then.share.error);
  return {.share = figure_of(measure, confidence)};
}

void decide_tasks(bool is_source, ModelResult& model, Result& result) {
  for (std::size_t t = 0; t < model.tasks.size(); ++t)
    for (const Gate& gate : result.gates) {
      if (!kind_of(gate).of_tasks() || gate.task != result.tasks[t].name) continue;
      const TaskAccuracy& accuracy = model.tasks[t].accuracies.front();
      Estimate points = loss_of(accuracy, result.tasks[t].examples, is_source);
      points.mean *= 100;
      if (points.standard_error) *points.standard_error *= 100;
      model.gates.push_back(decide({.estimate = points, .range = {-100, 100}}, gate));
      result.verdict = std::max(result.verdict.value_or(Verdict::kPass), model.gates.back().verdict);
    }
}

}  // namespace

Interval wilson_interval(std::int64_t right, std::int64_t examples, double confidence) {
  const auto n = static_cast<double>(examples);
  const double p = static_cast<double>(right) / n, z = normal_quantile((1 + confidence) / 2);
  const double centre = (p + z * z / (2 * n)) / (1 + z * z / n);
  const double half = z / (1 + z * z / n) * std::sqrt(p * (1 - p) / n + z * z / (4 * n * n));
  return {std::max(0., centre - half), std::min(1., centre + half)};
}

double mcnemar_p(std::int64_t worse, std::int64_t better) {
  if (worse + better == 0) return 1;
  const boost::math::binomial coins(static_cast<double>(worse + better), 0.5);
  return std::min(1., 2 * boost::math::cdf(coins, static_cast<double>(std::min(worse, better))));
}

Estimate loss_estimate(std::int64_t worse, std::int64_t better, std::int64_t examples) {
  const double n = static_cast<double>(examples) + 2;
  const double b = static_cast<double>(worse) + 0.5, c = static_cast<double>(better) + 0.5;
  Estimate estimate{.mean = (b - c) / n,
                    .clusters = examples,
                    .observations = examples,
                    .degrees = static_cast<double>(examples - 1)};
  if (examples > 1) estimate.standard_error = std::sqrt((b + c) - (b - c) * (b - c) / n) / n;
  return estimate;
}

void compare_tasks(std::span<const TaskData> tasks, std::span<const TaskOutcomes> outcomes, Result& result,
                   const Baseline* baseline) {
  check(outcomes.size() == result.models.size(), "outcomes for each model");
  for (std::size_t m = 0; m < outcomes.size(); ++m) {
    ModelResult& model = result.models[m];
    const bool is_source = same_model(model.facts, result.models.front().facts);
    for (std::size_t t = 0; t < tasks.size(); ++t)
      model.tasks.push_back(
          figures_of(tasks[t], outcomes[m][t],
                     m == 0 ? std::span<const Outcome>() : std::span<const Outcome>(outcomes.front()[t]),
                     is_source, result.confidence));
    for (std::size_t t = 0; m > 0 && baseline && t < tasks.size(); ++t)
      if (const auto then = baseline->task(model.facts.name, tasks[t].task->name))
        model.tasks[t].since = change_since(*then, right_answers(tasks[t], outcomes[m][t], 0),
                                            model.tasks[t].accuracies.front().share, result.confidence);
    if (m > 0) decide_tasks(is_source, model, result);
  }
}

std::string per_example_lines(std::span<const TaskData> tasks, std::span<const TaskOutcomes> outcomes,
                              const Result& result) {
  std::string lines;
  for (std::size_t t = 0; t < tasks.size(); ++t)
    for (std::size_t i = 0; i < tasks[t].examples.size(); ++i) {
      const Example& example = tasks[t].examples[i];
      Json line = {{"task", tasks[t].task->name}, {"example", i + 1}};
      for (const Choice& choice : example.choices)
        line["choices"].push_back({{"context", choice.context}, {"text", choice.text}});
      line["gold"] = example.gold;
      for (std::size_t m = 0; m < outcomes.size(); ++m) {
        const Outcome& outcome = outcomes[m][t][i];
        Json answer = {{"model", result.models[m].facts.name}, {"nats", outcome.nats}};
        for (std::size_t a = 0; a < std::size(kAccuracies); ++a)
          if (kAccuracies[a].applies(*tasks[t].task))
            answer[std::string(kAccuracies[a].key)] = kAccuracies[a].right(*tasks[t].task, example, outcome);
        line["answers"].push_back(std::move(answer));
      }
      lines += line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
    }
  return lines;
}

}  // namespace regroup::eval
