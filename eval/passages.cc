#include "eval/passages.h"

#include <algorithm>
#include <numeric>

namespace regroup::eval {
namespace {

// Scored tokens [first, last], as indices into the scores.
struct Run {
  std::size_t first = 0, last = 0;
  double lost = 0;
};

class Finder {
 public:
  Finder(const Comparison& comparison, const ScoredText& text) : comparison_(comparison), text_(text) {}

  double lost(std::size_t i) const { return comparison_.scores.nats[i] - comparison_.source.nats[i]; }

  // The longest run from `first` that the text allows, without what its end does not lose.
  Run run_from(std::size_t first) const {
    Run run{first, first, lost(first)};
    double sum = run.lost;
    const std::size_t end = std::min(text_.targets.size(), first + kPassageTokens);
    for (std::size_t i = first + 1; i < end && follows(i); ++i) {
      sum += lost(i);
      if (sum > run.lost) run = {first, i, sum};
    }
    return run;
  }

 private:
  // The scored token i stands right behind the one before, in its document.
  bool follows(std::size_t i) const {
    const std::int64_t target = text_.targets[i];
    return target == text_.targets[i - 1] + 1 && !std::ranges::binary_search(text_.document_starts, target);
  }

  const Comparison& comparison_;
  const ScoredText& text_;
};

std::vector<Run> worst_runs(const Finder& finder, std::size_t scored) {
  std::vector<Run> all;
  for (std::size_t first = 0; first < scored; ++first)
    if (finder.lost(first) > 0) all.push_back(finder.run_from(first));
  std::ranges::stable_sort(all, std::greater<>(), &Run::lost);
  std::vector<Run> worst;
  for (const Run& run : all) {
    if (worst.size() == kPassages) break;
    if (std::ranges::none_of(worst, [&](const Run& w) { return run.first <= w.last && w.first <= run.last; }))
      worst.push_back(run);
  }
  return worst;
}

std::string joined(const std::vector<std::string>& texts, std::size_t begin, std::size_t end) {
  return std::accumulate(texts.begin() + static_cast<std::ptrdiff_t>(begin),
                         texts.begin() + static_cast<std::ptrdiff_t>(end), std::string());
}

Passage passage_of(const Run& run, const Comparison& comparison, const ScoredText& text) {
  const std::int64_t first = text.targets[run.first], last = text.targets[run.last];
  const std::int64_t document = text.document_of(first);
  const std::int64_t start = text.document_starts[static_cast<std::size_t>(document)];
  const std::int64_t next = document + 1 < std::ssize(text.document_starts)
                                ? text.document_starts[static_cast<std::size_t>(document) + 1]
                                : std::ssize(text.tokens);
  const std::int64_t begin = std::max(start, first - kPassageContext);
  const std::int64_t end = std::min({next, std::ssize(text.tokens), last + 1 + kPassageContext / 3});
  const std::vector<std::string> texts = texts_of(text, begin, end);
  const auto at = [&](std::int64_t token) { return static_cast<std::size_t>(token - begin); };
  Passage passage{.position = text.position_of(first), .document = document + 1, .lost = run.lost};
  passage.before = joined(texts, 0, at(first));
  passage.after = joined(texts, at(last + 1), texts.size());
  for (std::size_t i = run.first; i <= run.last; ++i)
    passage.tokens.push_back({.text = texts[at(text.targets[i])],
                              .nats = comparison.scores.nats[i],
                              .source_nats = comparison.source.nats[i]});
  const auto lost = [](const PassageToken& token) { return token.nats - token.source_nats; };
  passage.worst =
      static_cast<std::size_t>(std::ranges::max_element(passage.tokens, {}, lost) - passage.tokens.begin());
  if (comparison.scores.top.empty() || comparison.source.top.empty()) return passage;
  const std::size_t worst = run.first + passage.worst;
  passage.expected = text_after(text, begin, text.targets[worst], comparison.scores.top[worst]);
  passage.source_expected = text_after(text, begin, text.targets[worst], comparison.source.top[worst]);
  return passage;
}

}  // namespace

std::vector<Passage> worst_passages(const Comparison& comparison, const ScoredText& text) {
  std::vector<Passage> passages;
  for (const Run& run : worst_runs(Finder(comparison, text), text.targets.size()))
    passages.push_back(passage_of(run, comparison, text));
  return passages;
}

}  // namespace regroup::eval
