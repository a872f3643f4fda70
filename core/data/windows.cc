#include "core/data/windows.h"

#include <algorithm>
#include <string>

#include "core/base/error.h"
#include "core/base/random.h"

namespace regroup::data {
namespace {

void require_tokens(std::int64_t tokens, std::int64_t needed) {
  if (tokens >= needed) return;
  throw UserError({.where = "data",
                   .what = "too few tokens",
                   .expected = "at least " + std::to_string(needed),
                   .found = std::to_string(tokens),
                   .remedy = "Give more text, or a shorter window"});
}

void require_length(std::int64_t length, std::int64_t least = 1) {
  if (length < least)
    throw UserError({.where = "data",
                     .what = "a window without a token to predict",
                     .expected = "a window of at least " + std::to_string(least),
                     .found = std::to_string(length)});
}

}  // namespace

std::int64_t scored_tokens(std::span<const Window> windows) {
  std::int64_t scored = 0;
  for (const Window& window : windows) scored += window.scored();
  return scored;
}

std::vector<Window> consecutive_windows(std::int64_t tokens, std::int64_t window) {
  require_length(window);
  require_tokens(tokens, 2);
  const std::int64_t inputs = tokens - 1;
  std::vector<Window> windows;
  for (std::int64_t begin = 0; begin < inputs; begin += window)
    windows.push_back({begin, std::min(window, inputs - begin)});
  return windows;
}

std::vector<Window> whole_blocks(std::int64_t tokens, std::int64_t window) {
  require_length(window, 2);
  require_tokens(tokens, window);
  std::vector<Window> windows;
  for (std::int64_t begin = 0; begin + window <= tokens; begin += window)
    windows.push_back({.begin = begin, .length = window - 1});
  return windows;
}

std::vector<Window> strided_windows(std::int64_t tokens, std::int64_t window, std::int64_t stride) {
  require_length(window, 2);
  require_tokens(tokens, 2);
  check(stride >= 1 && stride < window, "neighbours overlap, or a token would be no target");
  std::vector<Window> windows;
  std::int64_t scored = 1;  // the tokens before this one are done; the first is no target
  for (std::int64_t begin = 0; scored < tokens; begin += stride) {
    const std::int64_t end = std::min(begin + window, tokens);
    windows.push_back({.begin = begin, .length = end - begin - 1, .skip = scored - begin - 1});
    scored = end;
  }
  return windows;
}

std::vector<Window> half_blocks(std::int64_t tokens, std::int64_t window) {
  require_length(window, 3);
  std::vector<Window> windows = whole_blocks(tokens, window);
  for (Window& each : windows) each.skip = window / 2;
  return windows;
}

std::vector<Window> rolling_windows(std::span<const std::int64_t> starts, std::int64_t tokens,
                                    std::int64_t window) {
  require_length(window);
  std::vector<Window> windows;
  for (std::size_t d = 0; d < starts.size(); ++d) {
    const std::int64_t begin = starts[d];
    const std::int64_t targets = (d + 1 < starts.size() ? starts[d + 1] : tokens) - begin - 1;
    for (std::int64_t done = 0; done < targets; done += window) {
      const std::int64_t end = std::min(done + window, targets), length = std::min(window, end);
      windows.push_back({.begin = begin + end - length, .length = length, .skip = length - (end - done)});
    }
  }
  if (windows.empty()) require_tokens(0, 1);
  return windows;
}

ShuffledWindows::ShuffledWindows(std::int64_t tokens, std::int64_t length, std::uint64_t seed)
    : tokens_(tokens), length_(length), seed_(seed) {
  require_length(length);
  require_tokens(tokens, length + 1);
  per_epoch_ = std::max<std::int64_t>(1, (tokens - length) / length);
}

Window ShuffledWindows::at(std::int64_t position) const {
  check(position >= 0, "positions count from 0");
  const std::int64_t epoch = position / per_epoch_, index = position % per_epoch_;
  RandomStream random(seed_, "training windows, epoch " + std::to_string(epoch));
  const auto offset = random.below(static_cast<std::uint64_t>(std::min(length_, tokens_ - length_)));
  const auto shuffled =
      permute_index(static_cast<std::uint64_t>(index), static_cast<std::uint64_t>(per_epoch_), random.bits());
  return {static_cast<std::int64_t>(offset + shuffled * static_cast<std::uint64_t>(length_)), length_};
}

}  // namespace regroup::data
