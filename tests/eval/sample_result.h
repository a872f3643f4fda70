// Results made from invented tokens, for the tests of what is computed and printed from them.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "eval/clusters.h"
#include "eval/compare.h"
#include "eval/result.h"

namespace regroup::eval {

using Nats = std::vector<std::vector<double>>;

// Clusters of `size` tokens each.
inline Clusters equal_clusters(std::int64_t clusters, std::int64_t size) {
  Clusters result{.ends = {}, .unit = "block", .summary = "Errors cluster by block."};
  for (std::int64_t c = 1; c <= clusters; ++c) result.ends.push_back(c * size);
  return result;
}

// One source and further models named a, b, …; the source keeps 8 key/value heads, the others 2.
inline std::vector<Scores> scores_of(const Nats& nats) {
  std::vector<Scores> scores;
  for (const std::vector<double>& each : nats) scores.push_back({.nats = each});
  return scores;
}

inline Result sample_result(const std::vector<Scores>& scores, const Clusters& clusters,
                            const std::vector<Gate>& gates,
                            const std::function<void(Result&)>& prepare = {}) {
  const std::size_t tokens = scores.front().nats.size();
  Result result;
  result.gates = gates;
  for (std::size_t m = 0; m < scores.size(); ++m) {
    ModelFacts facts;
    facts.name = m == 0 ? "source" : std::string(1, static_cast<char>('a' + m - 1));
    facts.path = "models/" + facts.name;
    facts.family = "llama";
    facts.dtype = "BF16";
    facts.parameters = 1066112;
    facts.layers = 4;
    facts.heads = 8;
    facts.kv_heads = m == 0 ? 8 : 2;
    facts.kv_bytes_per_token = m == 0 ? 2048 : 512;
    facts.vocabulary = 1000;
    facts.config_sha256 = std::string(64, 'c');
    facts.weights_sha256 = std::string(64, static_cast<char>('a' + m));
    result.models.push_back({.facts = facts, .load_seconds = 0.5, .score_seconds = 2});
  }
  result.files.push_back({"text.txt", 1000, std::string(64, 'f')});
  result.stream_tokens = static_cast<std::int64_t>(tokens) + 1;
  result.documents = 1;
  result.text_bytes = 4 * result.stream_tokens;
  result.document_convention = "One document, BOS first.";
  result.convention = "consecutive";
  result.convention_summary = "Disjoint windows.";
  result.window = 256;
  result.windows = 4;
  result.batch = 32;
  result.dtype = "fp32";
  result.device = "cpu";
  result.threads = 2;
  result.date = "2026-01-02T03:04:05Z";
  if (prepare) prepare(result);
  compare_models(scores, clusters, result);
  return result;
}

// Without divergences.
inline Result sample_result(const Nats& nats, const Clusters& clusters, std::optional<Gate> gate = {}) {
  return sample_result(scores_of(nats), clusters, gate ? std::vector<Gate>{*gate} : std::vector<Gate>{});
}

}  // namespace regroup::eval
