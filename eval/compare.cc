#include "eval/compare.h"

#include <algorithm>
#include <cmath>

#include "core/base/error.h"
#include "eval/gate.h"
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

// Of the whole text only: what part of its bytes a shorter run of tokens stands for is not known.
bool bytes_are_scored(const Result& result) {
  return result.text_bytes > 0 &&
         result.scored_tokens == result.stream_tokens - (result.first_scored ? 0 : 1);
}

// Per byte and per word of the text instead of per token: their numbers are known exactly.
void fill_text_figures(const Estimate& nats, const Result& result, ModelResult& model) {
  const auto per = [&](std::int64_t units) {
    Estimate estimate = nats;
    const double tokens_per_unit = static_cast<double>(result.scored_tokens) / static_cast<double>(units);
    estimate.mean *= tokens_per_unit;
    if (estimate.standard_error) *estimate.standard_error *= tokens_per_unit;
    return estimate;
  };
  model.bits_per_byte = scaled(plain_figure(per(result.text_bytes), result.confidence), 1 / std::log(2.));
  model.byte_perplexity = exponential_figure(per(result.text_bytes), result.confidence);
  if (result.text_words > 0)
    model.word_perplexity = exponential_figure(per(result.text_words), result.confidence);
}

void compare_with_source(const Scores& scores, const Scores& source, const Clusters& clusters, Result& result,
                         ModelResult& model) {
  const Estimate difference = clustered_mean_difference(scores.nats, source.nats, clusters.ends);
  model.difference = plain_figure(difference, result.confidence);
  model.ratio = exponential_figure(difference, result.confidence);
  if (!scores.kl.empty()) {
    for (const Statistic& row : statistics())
      model.statistics.push_back(
          plain_figure(estimate_statistic(row, scores, source, clusters), result.confidence));
    model.kl_quantiles = upper_quantiles(scores.kl);
  }
  for (const Gate& gate : result.gates) {
    if (kind_of(gate).of_tasks()) continue;
    model.gates.push_back(decide(kind_of(gate).estimate(scores, source, clusters), gate));
    result.verdict = std::max(result.verdict.value_or(Verdict::kPass), model.gates.back().verdict);
  }
}

}  // namespace

Figure scaled(const Figure& figure, double factor) {
  Figure result{.value = factor * figure.value};
  if (figure.error) result.error = factor * *figure.error;
  if (figure.interval) result.interval = {factor * figure.interval->low, factor * figure.interval->high};
  return result;
}

Figure plain_figure(const Estimate& estimate, double confidence) {
  return {.value = estimate.mean,
          .error = estimate.standard_error,
          .interval = confidence_interval(estimate, confidence)};
}

Figure exponential_figure(const Estimate& estimate, double confidence) {
  Figure figure = plain_figure(estimate, confidence);
  figure.value = std::exp(estimate.mean);
  if (figure.error) figure.error = figure.value * *figure.error;
  if (figure.interval) figure.interval = {std::exp(figure.interval->low), std::exp(figure.interval->high)};
  return figure;
}

void compare_models(std::span<const Scores> scores, const Clusters& clusters, Result& result) {
  check(scores.size() == result.models.size() && !scores.empty(), "scores for each model");
  const std::vector<double>& source_nats = scores.front().nats;
  result.scored_tokens = std::ssize(source_nats);
  result.clusters = std::ssize(clusters.ends);
  result.cluster_unit = clusters.unit;
  result.cluster_summary = clusters.summary;
  result.segment_ends = segment_ends(result.scored_tokens);
  for (std::size_t m = 0; m < scores.size(); ++m) {
    ModelResult& model = result.models[m];
    const Estimate own = clustered_mean(scores[m].nats, clusters.ends);
    model.nats = plain_figure(own, result.confidence);
    model.perplexity = exponential_figure(own, result.confidence);
    if (bytes_are_scored(result)) fill_text_figures(own, result, model);
    model.along =
        means_along(scores[m].nats, m == 0 ? std::span<const double>() : source_nats, result.segment_ends);
    if (m > 0) compare_with_source(scores[m], scores.front(), clusters, result, model);
  }
}

}  // namespace regroup::eval
