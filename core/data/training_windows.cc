#include "core/data/training_windows.h"

#include <algorithm>
#include <string>

#include "core/base/error.h"
#include "core/base/random.h"

namespace regroup::data {
namespace {

std::vector<std::int64_t> weights_of(const TokenStream& stream, const WindowOptions& options) {
  if (options.weights.empty()) return {1};
  check(stream.sources.size() == stream.source_starts.size(), "a stream knows where its files start");
  return whole_weights(options.weights, stream.sources.size());
}

// Sources go through their windows independently; the first one's order is that of a run without weights.
std::uint64_t seed_of(std::uint64_t seed, std::size_t source) {
  return source == 0 ? seed : RandomStream(seed, "training source " + std::to_string(source)).bits();
}

void require_window(const std::string& name, std::int64_t tokens, std::int64_t length) {
  if (tokens > length) return;
  throw UserError({.where = name,
                   .what = "too few tokens for a source of its own",
                   .expected = "at least " + std::to_string(length + 1),
                   .found = std::to_string(tokens),
                   .remedy = "Give more text, a shorter window, or join it with another file"});
}

}  // namespace

TrainingWindows::TrainingWindows(const TokenStream& stream, const WindowOptions& options)
    : rule_(document_rule(options.documents)), turns_(weights_of(stream, options)) {
  const std::int64_t tokens = std::ssize(stream.tokens);
  if (options.weights.empty()) {
    sources_.push_back(source_of(stream, 0, tokens, options.length, options.seed));
    return;
  }
  for (std::size_t i = 0; i < stream.sources.size(); ++i) {
    const std::int64_t begin = stream.source_starts[i],
                       end = i + 1 < stream.sources.size() ? stream.source_starts[i + 1] : tokens;
    if (!rule_.apart) require_window(stream.sources[i], end - begin, options.length);
    sources_.push_back(source_of(stream, begin, end, options.length, seed_of(options.seed, i)));
  }
}

TrainingWindows::Source TrainingWindows::source_of(const TokenStream& stream, std::int64_t begin,
                                                   std::int64_t end, std::int64_t length,
                                                   std::uint64_t seed) const {
  if (!rule_.apart) return {begin, ShuffledWindows(end - begin, length, seed)};
  const auto first = std::ranges::lower_bound(stream.document_starts, begin),
             last = std::ranges::lower_bound(stream.document_starts, end);
  return {0, DocumentWindows(std::span(first, last), end, length, seed)};
}

Window TrainingWindows::at(std::int64_t position) const {
  const auto [source, index] = turns_.at(position);
  const auto& [begin, order] = sources_[source];
  Window window = std::visit([&](const auto& windows) { return windows.at(index); }, order);
  window.begin += begin;
  return window;
}

std::int64_t copy_window(const TokenStream& stream, const Window& window, const DocumentRule& rule,
                         std::span<std::int64_t> inputs, std::span<std::int64_t> targets) {
  check(inputs.size() == targets.size() && window.length <= std::ssize(inputs), "a window fits its row");
  const auto first = stream.tokens.begin() + window.begin;
  std::fill(std::copy_n(first, window.length, inputs.begin()), inputs.end(), 0);
  std::fill(std::copy_n(first + 1, window.length, targets.begin()), targets.end(), kNoTarget);
  std::int64_t count = window.length;
  if (!rule.masked) return count;
  for (auto next = std::ranges::upper_bound(stream.document_starts, window.begin);
       next != stream.document_starts.end() && *next <= window.begin + window.length; ++next, --count)
    targets[static_cast<std::size_t>(*next - 1 - window.begin)] = kNoTarget;
  return count;
}

}  // namespace regroup::data
