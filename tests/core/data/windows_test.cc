#include "core/data/windows.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "core/base/error.h"
#include "tests/support/expect_error.h"

namespace regroup::data {
namespace {

TEST(ConsecutiveWindows, ScoreEveryTokenButTheFirstOnce) {
  for (std::int64_t tokens = 2; tokens < 40; ++tokens)
    for (std::int64_t length = 1; length < 45; ++length) {
      std::int64_t next = 0;
      for (const Window& window : consecutive_windows(tokens, length)) {
        EXPECT_EQ(window.begin, next);
        EXPECT_TRUE(window.length == length || window.begin + window.length == tokens - 1);
        EXPECT_GE(window.length, 1);
        next += window.length;
      }
      EXPECT_EQ(next, tokens - 1);
    }
}

TEST(ConsecutiveWindows, RefuseTooFewTokens) {
  EXPECT_EQ(testing::user_error_of([] { consecutive_windows(1, 4); }),
            "data: too few tokens: expected at least 2, found 1. Give more text, or a shorter window");
  EXPECT_CONTAINS(testing::user_error_of([] { consecutive_windows(9, 0); }), "a window of at least 1");
}

// GPTQ: nsamples = tokens // W; in each block logits [0, W-1) are held against tokens [1, W).
TEST(WholeBlocks, LeaveOutTheFirstTokenOfEachAndTheRestOfTheStream) {
  const std::vector<Window> expected = {{.begin = 0, .length = 3}, {.begin = 4, .length = 3}};
  EXPECT_EQ(whole_blocks(8, 4), expected);
  EXPECT_EQ(whole_blocks(11, 4), expected);
  EXPECT_CONTAINS(testing::user_error_of([] { whole_blocks(3, 4); }), "expected at least 4, found 3");
  EXPECT_CONTAINS(testing::user_error_of([] { whole_blocks(9, 1); }), "a window of at least 2");
}

// The loop of Hugging Face's guide, on positions: `end - previous_end` labels remain unmasked, and the first
// token of a window predicts nothing.
std::vector<std::int64_t> targets_of_the_guide(std::int64_t tokens, std::int64_t window,
                                               std::int64_t stride) {
  std::vector<std::int64_t> targets;
  std::int64_t previous_end = 0;
  for (std::int64_t begin = 0; begin < tokens; begin += stride) {
    const std::int64_t end = std::min(begin + window, tokens);
    for (std::int64_t label = std::max(begin + 1, previous_end); label < end; ++label)
      targets.push_back(label);
    previous_end = end;
    if (end == tokens) break;
  }
  return targets;
}

TEST(StridedWindows, ScoreWhatTheGuideOfHuggingFaceScores) {
  for (std::int64_t tokens = 2; tokens < 30; ++tokens)
    for (std::int64_t length = 2; length < 33; ++length)
      for (std::int64_t stride = 1; stride < length; ++stride) {
        std::vector<std::int64_t> targets;
        for (const Window& window : strided_windows(tokens, length, stride)) {
          EXPECT_LT(window.length, length);
          EXPECT_EQ(window.begin % stride, 0);
          for (std::int64_t i = window.skip; i < window.length; ++i) targets.push_back(window.begin + i + 1);
        }
        EXPECT_EQ(targets, targets_of_the_guide(tokens, length, stride));
        EXPECT_EQ(std::ssize(targets), tokens - 1);
      }
}

TEST(StridedWindows, RefuseTooFewTokens) {
  EXPECT_CONTAINS(testing::user_error_of([] { strided_windows(1, 4, 2); }), "expected at least 2, found 1");
}

// llama-perplexity: of a block of W tokens the logits from W/2 up to the last but one are held against what
// follows each.
TEST(HalfBlocks, ScoreTheSecondHalfOfEachBlock) {
  const std::vector<Window> even = {{.begin = 0, .length = 7, .skip = 4},
                                    {.begin = 8, .length = 7, .skip = 4}};
  EXPECT_EQ(half_blocks(16, 8), even);
  EXPECT_EQ(half_blocks(23, 8), even);
  EXPECT_EQ(even[0].scored(), 8 - 8 / 2 - 1);
  const std::vector<Window> odd = {{.begin = 0, .length = 2, .skip = 1},
                                   {.begin = 3, .length = 2, .skip = 1}};
  EXPECT_EQ(half_blocks(6, 3), odd);
  EXPECT_CONTAINS(testing::user_error_of([] { half_blocks(9, 2); }), "a window of at least 3");
  EXPECT_CONTAINS(testing::user_error_of([] { half_blocks(7, 8); }), "expected at least 8, found 7");
}

// One document by lm_eval.utils.get_rolling_token_windows(tokens, prefix, window, 1) on positions, the prefix
// at 0: inputs and how many of the last of them are scored.
std::vector<Window> windows_of_lm_eval(std::int64_t count, std::int64_t window) {
  const std::int64_t first = std::min(window, count);
  std::vector<Window> windows = {{.begin = 0, .length = first}};
  for (std::int64_t predicted = first; predicted < count;) {
    const std::int64_t scored = std::min(count - predicted, window), end = predicted + scored;
    windows.push_back({.begin = end - window, .length = window, .skip = window - scored});
    predicted = end;
  }
  return windows;
}

TEST(RollingWindows, AreThoseOfLmEvalInEveryDocument) {
  for (std::int64_t one = 1; one < 20; ++one)
    for (std::int64_t other = 1; other < 20; ++other)
      for (std::int64_t length = 1; length < 23; ++length) {
        std::vector<Window> expected = windows_of_lm_eval(one, length);
        for (Window each : windows_of_lm_eval(other, length)) {
          each.begin += one + 1;
          expected.push_back(each);
        }
        const std::vector<std::int64_t> starts = {0, one + 1};
        EXPECT_EQ(rolling_windows(starts, one + other + 2, length), expected);
      }
}

TEST(RollingWindows, OfADocumentWithoutTokensThereAreNone) {
  const std::vector<std::int64_t> starts = {0, 1};
  EXPECT_EQ(rolling_windows(starts, 3, 8), (std::vector<Window>{{.begin = 1, .length = 1}}));
  EXPECT_CONTAINS(testing::user_error_of([&] { rolling_windows(starts, 2, 8); }), "too few tokens");
}

std::vector<Window> epoch_of(const ShuffledWindows& windows, std::int64_t epoch, std::int64_t per_epoch) {
  std::vector<Window> all;
  for (std::int64_t i = 0; i < per_epoch; ++i) all.push_back(windows.at(epoch * per_epoch + i));
  return all;
}

TEST(ShuffledWindows, AnEpochIsDisjointNeighboursInsideTheStream) {
  for (const std::int64_t tokens : {17, 20, 24, 25, 100, 1000}) {
    const std::int64_t length = 8, per_epoch = (tokens - length) / length;
    const ShuffledWindows windows(tokens, length, 3);
    for (std::int64_t epoch = 0; epoch < 50; ++epoch) {
      auto all = epoch_of(windows, epoch, per_epoch);
      std::ranges::sort(all, {}, &Window::begin);
      EXPECT_GE(all.front().begin, 0);
      EXPECT_LT(all.front().begin, length);
      EXPECT_LT(all.back().begin + length, tokens) << "the last target is inside";
      for (std::size_t i = 0; i < all.size(); ++i)
        EXPECT_EQ(all[i], (Window{all.front().begin + static_cast<std::int64_t>(i) * length, length}));
    }
  }
}

TEST(ShuffledWindows, EveryOffsetAndEveryPlaceComesUp) {
  const ShuffledWindows windows(100, 8, 5);
  std::set<std::int64_t> offsets, first_places;
  for (std::int64_t epoch = 0; epoch < 400; ++epoch) {
    const auto all = epoch_of(windows, epoch, 11);
    offsets.insert(all.front().begin % 8);
    first_places.insert(all.front().begin / 8);
  }
  EXPECT_EQ(offsets.size(), 8u);
  EXPECT_EQ(first_places.size(), 11u);
}

TEST(ShuffledWindows, ArePureFunctionsOfSeedAndPosition) {
  const ShuffledWindows one(10000, 16, 7), same(10000, 16, 7), other(10000, 16, 8);
  int differ_by_seed = 0, differ_by_epoch = 0;
  const std::int64_t per_epoch = (10000 - 16) / 16;
  for (std::int64_t i = 2 * per_epoch - 1; i >= 0; --i) EXPECT_EQ(one.at(i), same.at(i));
  for (std::int64_t i = 0; i < per_epoch; ++i) {
    differ_by_seed += one.at(i) != other.at(i);
    differ_by_epoch += one.at(i) != one.at(i + per_epoch);
  }
  EXPECT_GT(differ_by_seed, per_epoch * 9 / 10);
  EXPECT_GT(differ_by_epoch, per_epoch * 9 / 10);
}

TEST(ShuffledWindows, TakeOneWindowAnywhereFromAShortStream) {
  const ShuffledWindows windows(11, 8, 1);
  std::set<std::int64_t> begins;
  for (std::int64_t i = 0; i < 200; ++i) begins.insert(windows.at(i).begin);
  EXPECT_EQ(begins, (std::set<std::int64_t>{0, 1, 2}));
  EXPECT_EQ(ShuffledWindows(9, 8, 1).at(5), (Window{0, 8}));
}

TEST(ShuffledWindows, RefuseAStreamShorterThanAWindowAndItsTarget) {
  EXPECT_CONTAINS(testing::user_error_of([] { ShuffledWindows(8, 8, 0); }), "expected at least 9, found 8");
  EXPECT_CONTAINS(testing::user_error_of([] { ShuffledWindows(8, 0, 0); }), "a window of at least 1");
}

}  // namespace
}  // namespace regroup::data
