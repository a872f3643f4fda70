// A result that holds everything a report can: two models, gates, divergences, breakdowns, passages, a
// bootstrap, a baseline and tasks.
#pragma once

#include <vector>

#include "tests/eval/sample_result.h"

namespace regroup::eval {

inline void add_tasks(Result& result) {
  const Figure share{0.5, 0.05, Interval{0.4, 0.6}}, ratio{1.1, 0.02, Interval{1.06, 1.14}};
  result.tasks = {{"lambada_openai", "the last word of a passage", 100}, {"piqa", "two ways to a goal", 40}};
  result.task_files = {{"lambada.jsonl", 900, std::string(64, '1')},
                       {"piqa.jsonl", 800, std::string(64, '2')}};
  for (std::size_t m = 0; m < result.models.size(); ++m) {
    TaskAccuracy accuracy{.key = "acc", .share = share};
    if (m > 0) {
      accuracy.difference = Figure{-0.02, 0.01, Interval{-0.04, 0}};
      accuracy.worse = 3;
      accuracy.better = 1;
      accuracy.mcnemar_p = 0.625;
    }
    TaskAccuracy by_characters = accuracy;
    by_characters.key = std::string("acc_norm");
    result.models[m].tasks = {{.accuracies = {accuracy}, .perplexity = Figure{20, 1, Interval{18, 22}}},
                              {.accuracies = {accuracy, by_characters}}};
    if (m > 0) result.models[m].tasks[0].perplexity_ratio = ratio;
    if (m > 0) result.models[m].tasks[0].since = TaskChange{accuracy.difference.value(), true};
  }
}

inline Result full_result() {
  std::vector<Scores> scores(3);
  std::vector<Token> tokens = {'a'};
  for (int i = 0; i < 300; ++i) {
    tokens.push_back('a' + i % 17);
    scores[0].nats.push_back(2 + i % 3);
    scores[0].top.push_back('x');
    for (const std::size_t m : {1, 2}) {
      scores[m].nats.push_back(2.1 + i % 3 + (i % 7 == 0 ? 0.5 * static_cast<double>(m) : 0));
      scores[m].top.push_back(i % 5 == 0 ? 'y' : 'x');
      scores[m].kl.push_back(0.01 * (i % 4));
    }
  }
  const std::vector<std::int64_t> starts = {0, 150};
  const Clusters clusters = equal_clusters(30, 10);
  Result result = sample_result(scores, clusters, {Gate{1.02, 0.95}}, [](Result& asked) {
    asked.options = Json::object();
    asked.replicates = 200;
    asked.baseline = BaselineFacts{"earlier.json", std::string(64, 'a'), "2026-01-01T00:00:00Z", "abc"};
  });
  result.models[1].since = SinceBaseline{.change = {0.1, 0.01, Interval{0.08, 0.12}},
                                         .ratio = {1.1, 0.01, Interval{1.08, 1.12}},
                                         .paired = true};
  ScoredText text = locate_scores(data::consecutive_windows(301, 32), tokens, starts);
  text.decode = [](std::span<const Token> part) { return std::string(part.begin(), part.end()); };
  locate_losses(scores, clusters, text, result);
  add_tasks(result);
  return result;
}

}  // namespace regroup::eval
