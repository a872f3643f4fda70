#include "eval/compare.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/base/error.h"
#include "eval/bootstrap.h"
#include "eval/breakdown.h"
#include "eval/figure.h"
#include "eval/gate.h"
#include "eval/passages.h"
#include "eval/statistics.h"

namespace regroup::eval {
namespace {

constexpr std::int64_t kSegments = 48;

// Equal parts of the scored tokens, one token apart at most.
std::vector<std::int64_t> segment_ends(std::int64_t scored) {
  const std::int64_t segments = std::min(scored, kSegments);
  std::vector<std::int64_t> ends;
  for (std::int64_t i = 1; i <= segments; ++i)
    ends.push_back(scored / segments * i + std::min(i, scored % segments));
  return ends;
}

std::vector<double> means_along(std::span<const double> values, std::span<const double> reference,
                                std::span<const std::int64_t> ends) {
  std::vector<double> means;
  std::size_t begin = 0;
  for (const std::int64_t end : ends) {
    const std::size_t size = static_cast<std::size_t>(end) - begin;
    const std::int64_t whole[] = {static_cast<std::int64_t>(size)};
    const auto part = values.subspan(begin, size);
    means.push_back((reference.empty()
                         ? clustered_mean(part, whole)
                         : clustered_mean_difference(part, reference.subspan(begin, size), whole))
                        .mean);
    begin += size;
  }
  return means;
}

// The model against itself in an earlier run.
void compare_with_baseline(const Baseline& baseline, Comparison& comparison, const Result& result,
                           ModelResult& model) {
  const std::optional<Baseline::Change> change =
      baseline.change_of(model.facts.name, comparison.scores, *model.difference, comparison.clusters);
  if (!change) return;
  const bool same = !change->weights_sha256.empty() && change->weights_sha256 == model.facts.weights_sha256;
  Measure measure{.estimate = change->estimate,
                  .reach = same ? 0 : std::log(static_cast<double>(model.facts.vocabulary))};
  model.since = SinceBaseline{.change = figure_of(measure, result.confidence), .paired = change->paired};
  measure.transform = Transform::kExponential;
  model.since->ratio = figure_of(measure, result.confidence);
  comparison.since_baseline = measure;
}

void compare_with_source(Comparison comparison, const Baseline* baseline, Result& result,
                         ModelResult& model) {
  Measure difference = measure_difference(comparison);
  model.difference = figure_of(difference, result.confidence);
  difference.transform = Transform::kExponential;
  model.ratio = figure_of(difference, result.confidence);
  if (!comparison.scores.kl.empty()) {
    for (const Statistic& row : statistics())
      model.statistics.push_back(figure_of(measure_statistic(row, comparison), result.confidence));
    model.kl_quantiles = upper_quantiles(comparison.scores.kl);
  }
  if (result.replicates > 0)
    model.resampled = resample(comparison, result.confidence, result.replicates, result.seed);
  if (baseline) compare_with_baseline(*baseline, comparison, result, model);
  for (const Gate& gate : result.gates) {
    if (kind_of(gate).of_tasks()) continue;
    model.gates.push_back(decide(kind_of(gate).measure(comparison), gate));
    result.verdict = std::max(result.verdict.value_or(Verdict::kPass), model.gates.back().verdict);
  }
}

// Per byte or word of the text instead of per token: their numbers are known exactly.
Measure per_unit(Measure nats, const Result& result, std::int64_t units, Transform transform) {
  const double tokens_per_unit = static_cast<double>(result.scored_tokens) / static_cast<double>(units);
  nats.estimate.mean *= tokens_per_unit;
  if (nats.estimate.standard_error) *nats.estimate.standard_error *= tokens_per_unit;
  nats.reach *= tokens_per_unit;
  nats.transform = transform;
  return nats;
}

void describe_text(const Measure& nats, const Result& result, ModelResult& model) {
  // None beyond what a number can be: a text without spaces is one word.
  const auto figure = [&](std::int64_t units, Transform transform) -> std::optional<Figure> {
    const Figure each = figure_of(per_unit(nats, result, units, transform), result.confidence);
    const bool finite = std::isfinite(each.value) && (!each.interval || std::isfinite(each.interval->high));
    return finite ? std::optional(each) : std::nullopt;
  };
  model.bits_per_byte = scaled(figure(result.text_bytes, Transform::kNone).value(), 1 / std::log(2.));
  model.byte_perplexity = figure(result.text_bytes, Transform::kExponential);
  if (result.text_words > 0) model.word_perplexity = figure(result.text_words, Transform::kExponential);
}

// What a model says of the text by itself.
void describe_alone(const Scores& scores, const Clusters& clusters, const Result& result,
                    ModelResult& model) {
  Measure own = {.estimate = clustered_mean(scores.nats, clusters.ends),
                 .range = {0, std::numeric_limits<double>::infinity()},
                 .reach = std::log(static_cast<double>(model.facts.vocabulary))};
  model.nats = figure_of(own, result.confidence);
  if (bytes_are_scored(result)) describe_text(own, result, model);
  own.transform = Transform::kExponential;
  model.perplexity = figure_of(own, result.confidence);
}

}  // namespace

// Of the whole text only: what part of its bytes a shorter run of tokens stands for is not known.
bool bytes_are_scored(const Result& result) {
  return result.text_bytes > 0 &&
         result.scored_tokens == result.stream_tokens - (result.first_scored ? 0 : 1);
}

void compare_models(std::span<const Scores> scores, const Clusters& clusters, Result& result,
                    const Baseline* baseline) {
  check(scores.size() == result.models.size() && !scores.empty(), "scores for each model");
  const std::vector<double>& source_nats = scores.front().nats;
  result.scored_tokens = std::ssize(source_nats);
  result.clusters = std::ssize(clusters.ends);
  result.cluster_unit = clusters.unit;
  result.cluster_summary = clusters.summary;
  result.segment_ends = segment_ends(result.scored_tokens);
  for (std::size_t m = 0; m < scores.size(); ++m) {
    ModelResult& model = result.models[m];
    describe_alone(scores[m], clusters, result, model);
    model.along =
        means_along(scores[m].nats, m == 0 ? std::span<const double>() : source_nats, result.segment_ends);
    if (m == 0) continue;
    const ModelFacts& source = result.models.front().facts;
    compare_with_source(compare_scores(scores[m], model.facts, scores.front(), source, clusters), baseline,
                        result, model);
  }
}

void locate_losses(std::span<const Scores> scores, const Clusters& clusters, const ScoredText& text,
                   Result& result) {
  for (std::size_t m = 1; m < scores.size(); ++m) {
    ModelResult& model = result.models[m];
    const Comparison comparison =
        compare_scores(scores[m], model.facts, scores.front(), result.models.front().facts, clusters);
    model.parts = break_down(comparison, text, result.confidence);
    model.passages = worst_passages(comparison, text);
  }
}

}  // namespace regroup::eval
