#include "eval/breakdown.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <numeric>

#include "core/base/error.h"
#include "eval/figure.h"
#include "eval/text.h"

namespace regroup::eval {
namespace {

constexpr std::size_t kWorstDocuments = 10;

// Parts in the order of `bins`, those that hold no token left out.
Partition partition_by(const std::vector<std::size_t>& bins,
                       const std::function<std::string(std::size_t)>& label) {
  const std::size_t most = *std::ranges::max_element(bins) + 1;
  std::vector<std::size_t> sizes(most), part(most);
  for (const std::size_t bin : bins) ++sizes[bin];
  Partition partition;
  for (std::size_t bin = 0; bin < most; ++bin)
    if (sizes[bin] > 0) {
      part[bin] = partition.labels.size();
      partition.labels.push_back(label(bin));
    }
  for (const std::size_t bin : bins) partition.part_of.push_back(part[bin]);
  return partition;
}

// 1, 2 to 3, 4 to 7, …
Partition by_context(const ScoredText& text) {
  std::vector<std::size_t> bins;
  for (const std::int64_t context : text.context)
    bins.push_back(static_cast<std::size_t>(std::bit_width(static_cast<std::uint64_t>(context))) - 1);
  const std::int64_t most = *std::ranges::max_element(text.context);
  return partition_by(bins, [most](std::size_t bin) {
    const std::int64_t low = std::int64_t{1} << bin, high = std::min(2 * low - 1, most);
    if (low == high) return fmt::format("{} token{}", grouped(low), low == 1 ? "" : "s");
    return fmt::format("{} to {} tokens", grouped(low), grouped(high));
  });
}

std::size_t decade(std::int64_t count) {
  std::size_t digits = 0;
  for (; count >= 10; count /= 10) ++digits;
  return digits;
}

// Once, 2 to 9 times, 10 to 99 times, …
Partition by_frequency(const ScoredText& text) {
  const auto target = [&](std::size_t i) {
    return static_cast<std::size_t>(text.tokens[static_cast<std::size_t>(text.targets[i])]);
  };
  std::vector<std::int64_t> counts;
  for (std::size_t i = 0; i < text.targets.size(); ++i) {
    if (target(i) >= counts.size()) counts.resize(target(i) + 1);
    ++counts[target(i)];
  }
  std::vector<std::size_t> bins;
  for (std::size_t i = 0; i < text.targets.size(); ++i) {
    const std::int64_t count = counts[target(i)];
    bins.push_back(count == 1 ? 0 : 1 + decade(count));
  }
  return partition_by(bins, [](std::size_t bin) {
    std::int64_t low = 1;
    for (std::size_t i = 1; i < bin; ++i) low *= 10;
    return bin == 0 ? std::string("once")
                    : fmt::format("{} to {} times", grouped(std::max<std::int64_t>(low, 2)),
                                  grouped(10 * low - 1));
  });
}

// Its number, and how it begins where that is known.
std::string document_label(const ScoredText& text, std::size_t document) {
  constexpr std::int64_t kTokens = 12;
  std::string label = fmt::format("document {}", grouped(static_cast<std::int64_t>(document) + 1));
  if (!text.decode) return label;
  const std::int64_t begin = text.document_starts[document];
  const std::int64_t next = document + 1 < text.document_starts.size() ? text.document_starts[document + 1]
                                                                       : std::ssize(text.tokens);
  const std::int64_t end = std::min({begin + kTokens, next, std::ssize(text.tokens)});
  return label + ": " +
         one_line(text.decode(
             text.tokens.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin)))) +
         (end < next ? "…" : "");
}

Partition by_document(const ScoredText& text) {
  std::vector<std::size_t> bins;
  for (const std::int64_t target : text.targets)
    bins.push_back(static_cast<std::size_t>(text.document_of(target)));
  return partition_by(bins, [&](std::size_t document) { return document_label(text, document); });
}

constexpr Breakdown kAll[] = {
    {.key = "context",
     .title = "by tokens of context",
     .summary = "How many tokens a token is predicted from.",
     .worst = 0,
     .partition = by_context},
    {.key = "frequency",
     .title = "by frequency of the token",
     .summary = "How often the token that comes is scored in this text, itself included.",
     .worst = 0,
     .partition = by_frequency},
    {.key = "document",
     .title = "by document",
     .summary = "The documents that cost most.",
     .worst = kWorstDocuments,
     .partition = by_document},
};

// The scores of the chosen tokens alone, in clusters of their own.
struct Selection {
  Scores scores, source;
  Clusters clusters;
};

Selection select_tokens(const Comparison& comparison, std::span<const std::size_t> tokens) {
  Selection selection;
  std::size_t cluster = 0;
  for (const std::size_t token : tokens) {
    const auto& ends = comparison.clusters.ends;
    const std::size_t before = cluster;
    while (static_cast<std::int64_t>(token) >= ends[cluster]) ++cluster;
    if (cluster != before && !selection.scores.nats.empty())
      selection.clusters.ends.push_back(std::ssize(selection.scores.nats));
    selection.scores.nats.push_back(comparison.scores.nats[token]);
    selection.source.nats.push_back(comparison.source.nats[token]);
    if (comparison.scores.kl.empty()) continue;
    selection.scores.kl.push_back(comparison.scores.kl[token]);
    selection.scores.top.push_back(comparison.scores.top[token]);
    selection.source.top.push_back(comparison.source.top[token]);
  }
  selection.clusters.ends.push_back(std::ssize(selection.scores.nats));
  return selection;
}

double cost_of(const Comparison& comparison, std::span<const std::size_t> tokens) {
  double cost = 0;
  for (const std::size_t token : tokens)
    cost += comparison.scores.nats[token] - comparison.source.nats[token];
  return cost;
}

PartResult measure_part(const Comparison& comparison, std::span<const std::size_t> tokens,
                        double confidence) {
  const Selection selection = select_tokens(comparison, tokens);
  const Comparison part{.scores = selection.scores,
                        .source = selection.source,
                        .clusters = selection.clusters,
                        .most_nats = comparison.most_nats,
                        .most_probability = comparison.most_probability};
  PartResult result{.tokens = std::ssize(tokens), .cost = cost_of(comparison, tokens)};
  result.difference = figure_of(measure_difference(part), confidence);
  if (selection.scores.kl.empty()) return result;
  result.kl = figure_of(measure_statistic(statistic("kl_divergence"), part), confidence);
  result.same_top = figure_of(measure_statistic(statistic("same_top"), part), confidence);
  return result;
}

std::vector<PartResult> measure_parts(const Breakdown& breakdown, const Comparison& comparison,
                                      const ScoredText& text, double confidence) {
  const Partition partition = breakdown.partition(text);
  if (partition.labels.size() < 2) return {};
  std::vector<std::vector<std::size_t>> tokens(partition.labels.size());
  for (std::size_t i = 0; i < partition.part_of.size(); ++i) tokens[partition.part_of[i]].push_back(i);
  std::vector<std::size_t> shown(tokens.size());
  std::iota(shown.begin(), shown.end(), 0);
  if (breakdown.worst > 0) {
    std::vector<double> costs;
    for (const auto& each : tokens) costs.push_back(cost_of(comparison, each));
    std::ranges::stable_sort(shown, std::greater<>(), [&](std::size_t part) { return costs[part]; });
    shown.resize(std::min(shown.size(), breakdown.worst));
  }
  std::vector<PartResult> parts;
  for (const std::size_t part : shown) {
    parts.push_back(measure_part(comparison, tokens[part], confidence));
    parts.back().label = partition.labels[part];
  }
  return parts;
}

}  // namespace

std::span<const Breakdown> breakdowns() {
  return kAll;
}

std::vector<std::vector<PartResult>> break_down(const Comparison& comparison, const ScoredText& text,
                                                double confidence) {
  check(text.targets.size() == comparison.scores.nats.size(), "the text is that of the scores");
  std::vector<std::vector<PartResult>> rows;
  for (const Breakdown& breakdown : kAll)
    rows.push_back(measure_parts(breakdown, comparison, text, confidence));
  return rows;
}

}  // namespace regroup::eval
