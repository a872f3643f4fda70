// A result that holds everything a report can: two models, gates, divergences, breakdowns, passages, a
// bootstrap and a baseline.
#pragma once

#include <vector>

#include "tests/eval/sample_result.h"

namespace regroup::eval {

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
  return result;
}

}  // namespace regroup::eval
