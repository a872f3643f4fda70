#include "core/data/training_windows.h"

#include <gtest/gtest.h>

#include <map>
#include <numeric>
#include <set>

#include "tests/support/expect_error.h"

namespace regroup::data {
namespace {

using testing::user_error_of;
using Row = std::vector<std::int64_t>;

// Tokens 100, 101 …; three files of 400, 90 and 510 tokens; documents of 30 tokens in each.
TokenStream sample() {
  TokenStream stream;
  stream.tokens.resize(1000);
  std::iota(stream.tokens.begin(), stream.tokens.end(), 100);
  stream.sources = {"a", "b", "c"};
  stream.source_starts = {0, 400, 490};
  for (std::size_t file = 0; file < 3; ++file) {
    const std::int64_t end = file < 2 ? stream.source_starts[file + 1] : 1000;
    for (std::int64_t start = stream.source_starts[file]; start < end; start += 30)
      stream.document_starts.push_back(start);
  }
  return stream;
}

std::size_t source_of(const Window& window) {
  return window.begin < 400 ? 0 : window.begin < 490 ? 1 : 2;
}

TEST(TrainingWindows, WithoutWeightsAreTheOrderOfTheWholeStream) {
  const TokenStream stream = sample();
  const ShuffledWindows before(1000, 16, 7);
  for (const char* documents : {"joined", "masked"}) {
    const TrainingWindows windows(stream, {.length = 16, .seed = 7, .documents = documents});
    for (std::int64_t i = 0; i < 500; ++i) EXPECT_EQ(windows.at(i), before.at(i));
  }
}

TEST(TrainingWindows, OfOneSourceAreTheSameWithAWeight) {
  TokenStream stream = sample();
  stream.sources = {"a"};
  stream.source_starts = {0};
  const TrainingWindows windows(stream, {.length = 16, .seed = 7, .weights = {0.3}});
  const ShuffledWindows before(1000, 16, 7);
  for (std::int64_t i = 0; i < 500; ++i) EXPECT_EQ(windows.at(i), before.at(i));
}

TEST(TrainingWindows, TakeEachSourceByItsWeightAndAllOfItOnceAnEpoch) {
  const TokenStream stream = sample();
  const TrainingWindows windows(stream, {.length = 16, .seed = 7, .weights = {0.5, 0.3, 0.2}});
  const std::vector<double> shares = {0.5, 0.3, 0.2};
  const std::vector<std::int64_t> ends = {400, 490, 1000}, per_epoch = {24, 4, 30};
  std::vector<std::vector<Window>> seen(3);
  for (std::int64_t i = 0; i < 600; ++i) {
    const Window window = windows.at(i);
    const std::size_t source = source_of(window);
    EXPECT_LT(window.begin + window.length, ends[source]) << "the last target is its own source's";
    seen[source].push_back(window);
    for (std::size_t s = 0; s < 3; ++s)
      EXPECT_LT(std::abs(static_cast<double>(seen[s].size()) - shares[s] * static_cast<double>(i + 1)), 1);
  }
  for (std::size_t s = 0; s < 3; ++s) {
    const auto epoch = static_cast<std::size_t>(per_epoch[s]);
    ASSERT_GE(seen[s].size(), 2 * epoch);
    for (std::size_t from = 0; from + epoch <= seen[s].size(); from += epoch) {
      std::set<std::int64_t> begins;
      for (std::size_t i = from; i < from + epoch; ++i) begins.insert(seen[s][i].begin);
      ASSERT_EQ(begins.size(), epoch);
      EXPECT_EQ(*begins.rbegin() - *begins.begin(), (per_epoch[s] - 1) * 16) << "disjoint neighbours";
    }
  }
}

TEST(TrainingWindows, ArePureFunctionsOfThePosition) {
  const TokenStream stream = sample();
  const WindowOptions options{.length = 16, .seed = 7, .weights = {5, 3, 2}};
  const TrainingWindows forward(stream, options), backward(stream, options);
  std::vector<Window> order;
  for (std::int64_t i = 0; i < 100; ++i) order.push_back(forward.at(i));
  for (std::int64_t i = 99; i >= 0; --i) EXPECT_EQ(backward.at(i), order[static_cast<std::size_t>(i)]);
}

TEST(TrainingWindows, SourcesAreShuffledIndependently) {
  TokenStream stream = sample();
  stream.sources = {"a", "b"};
  stream.source_starts = {0, 500};
  const TrainingWindows windows(stream, {.length = 4, .seed = 7, .weights = {1, 1}});
  std::vector<std::int64_t> places[2];
  for (std::int64_t i = 0; i < 200; ++i) {
    const std::int64_t begin = windows.at(i).begin;
    places[begin >= 500].push_back(begin % 500);
  }
  int equal = 0;
  for (std::size_t i = 0; i < 100; ++i) equal += places[0][i] / 4 == places[1][i] / 4;
  EXPECT_LT(equal, 10);
}

TEST(TrainingWindows, ApartStayInTheirDocumentAndTheirSource) {
  const TokenStream stream = sample();
  for (const std::vector<double>& weights : {std::vector<double>{}, std::vector<double>{5, 3, 2}}) {
    const TrainingWindows windows(stream,
                                  {.length = 16, .seed = 7, .weights = weights, .documents = "apart"});
    std::map<std::int64_t, int> begins;
    std::vector<int> by_source(3);
    for (std::int64_t i = 0; i < 60; ++i) {
      const Window window = windows.at(i);
      ++by_source[source_of(window)];
      ++begins[window.begin];
      for (const std::int64_t start : stream.document_starts)
        EXPECT_FALSE(window.begin < start && start <= window.begin + window.length);
    }
    if (weights.empty()) {
      EXPECT_EQ(begins.size(), 60u) << "an epoch has 2 windows of each of 34 documents";
    } else {
      EXPECT_EQ(by_source, (std::vector{30, 18, 12}));
    }
  }
}

TEST(TrainingWindows, RefuseASourceThatIsTooShortByItsName) {
  const TokenStream stream = sample();
  EXPECT_EQ(
      user_error_of([&] {
        TrainingWindows(stream, {.length = 90, .weights = {1, 1, 1}});
      }),
      "b: too few tokens for a source of its own: expected at least 91, found 90. Give more text, a shorter "
      "window, or join it with another file");
  EXPECT_CONTAINS(user_error_of([&] {
                    TrainingWindows(stream, {.length = 8, .weights = {1, 1}});
                  }),
                  "--data-weights: one weight for each file");
}

TEST(CopyWindow, WritesInputsAndWhatComesAfterThem) {
  const TokenStream stream = sample();
  Row inputs(4), targets(4);
  EXPECT_EQ(copy_window(stream, {28, 4}, document_rule("joined"), inputs, targets), 4);
  EXPECT_EQ(inputs, (Row{128, 129, 130, 131}));
  EXPECT_EQ(targets, (Row{129, 130, 131, 132}));
}

TEST(CopyWindow, LeavesOutTargetsInOtherDocumentsWhereTheyAreMasked) {
  const TokenStream stream = sample();
  const DocumentRule& masked = document_rule("masked");
  Row inputs(4), targets(4);
  EXPECT_EQ(copy_window(stream, {28, 4}, masked, inputs, targets), 3);
  EXPECT_EQ(inputs, (Row{128, 129, 130, 131}));
  EXPECT_EQ(targets, (Row{129, kNoTarget, 131, 132}));
  EXPECT_EQ(copy_window(stream, {26, 4}, masked, inputs, targets), 3);
  EXPECT_EQ(targets, (Row{127, 128, 129, kNoTarget}));
  EXPECT_EQ(copy_window(stream, {30, 4}, masked, inputs, targets), 4);
}

TEST(CopyWindow, FillsUpAShortWindow) {
  const TokenStream stream = sample();
  Row inputs(5, 7), targets(5, 7);
  EXPECT_EQ(copy_window(stream, {27, 2}, document_rule("apart"), inputs, targets), 2);
  EXPECT_EQ(inputs, (Row{127, 128, 0, 0, 0}));
  EXPECT_EQ(targets, (Row{128, 129, kNoTarget, kNoTarget, kNoTarget}));
}

}  // namespace
}  // namespace regroup::data
