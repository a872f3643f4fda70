#include "eval/clusters.h"

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/base/random.h"
#include "core/base/statistics.h"

namespace regroup::eval {
namespace {

using Starts = std::vector<std::int64_t>;

// Documents of the given length over windows of W; every token but the first is scored.
Clusters clusters_of(std::int64_t documents, std::int64_t length, std::int64_t window) {
  Starts starts;
  for (std::int64_t d = 0; d < documents; ++d) starts.push_back(d * length);
  std::vector<data::Window> windows;
  for (std::int64_t begin = 0; begin < documents * length - 1; begin += window)
    windows.push_back({begin, std::min(window, documents * length - 1 - begin)});
  return choose_clusters(windows, starts);
}

TEST(Clusters, AreDocumentsWhereThereAreThirty) {
  const Clusters clusters = clusters_of(30, 10, 7);
  EXPECT_EQ(clusters.unit, "document");
  ASSERT_EQ(clusters.ends.size(), 30u);
  EXPECT_EQ(clusters.ends[0], 9);  // the stream's first token is not scored
  EXPECT_EQ(clusters.ends[1], 19);
  EXPECT_EQ(clusters.ends[29], 299);
  EXPECT_EQ(clusters.summary, "Errors cluster by document (30); Student's t with 29 degrees of freedom.");
}

TEST(Clusters, AreDocumentsHoweverFew) {
  const Clusters clusters = clusters_of(3, 100, 20);
  EXPECT_EQ(clusters.ends, (Starts{99, 199, 299}));
  EXPECT_EQ(clusters.summary,
            "Errors cluster by document (3); Student's t with 2 degrees of freedom. They are few: more "
            "documents would make intervals narrower.");
}

TEST(Clusters, AreBlocksOfWholeWindowsInOneDocument) {
  const Clusters clusters = clusters_of(1, 2900, 20);
  EXPECT_EQ(clusters.unit, "block");
  ASSERT_EQ(clusters.ends.size(), 64u);
  EXPECT_EQ(clusters.ends.back(), 2899);
  std::int64_t begin = 0;
  for (const std::int64_t end : clusters.ends) {
    const std::int64_t windows = (end - begin + 19) / 20;
    EXPECT_TRUE(windows == 2 || windows == 3) << windows;
    EXPECT_TRUE(end % 20 == 0 || end == 2899) << end;
    begin = end;
  }
  EXPECT_NE(clusters.summary.find("because the text is one document: 64 runs of whole windows"),
            std::string::npos)
      << clusters.summary;
}

TEST(Clusters, AreAsManyBlocksAsThereAreWindowsAtMost) {
  EXPECT_EQ(clusters_of(1, 101, 10).ends.size(), 10u);
  const Clusters one = clusters_of(1, 11, 10);
  EXPECT_EQ(one.ends, Starts{10});
  EXPECT_NE(one.summary.find("too little text to claim an error"), std::string::npos) << one.summary;
}

TEST(Clusters, AreBlocksWhereOneDocumentOutweighsTheRest) {
  Starts starts;
  for (std::int64_t d = 0; d < 40; ++d) starts.push_back(10 * d);  // the last one has 610 of 1000 tokens
  std::vector<data::Window> windows;
  for (std::int64_t begin = 0; begin < 1000; begin += 10) windows.push_back({begin, 10});
  const Clusters clusters = choose_clusters(windows, starts);
  EXPECT_EQ(clusters.unit, "block");
  EXPECT_NE(clusters.summary.find("one document holds 61% of the tokens"), std::string::npos)
      << clusters.summary;
}

TEST(Clusters, ContextBelongsToNone) {
  Starts starts;
  for (std::int64_t d = 0; d < 40; ++d) starts.push_back(10 * d);
  const Clusters documents = choose_clusters(data::strided_windows(400, 20, 10), starts);
  EXPECT_EQ(documents.unit, "document");
  ASSERT_EQ(documents.ends.size(), 40u);
  EXPECT_EQ(documents.ends.front(), 9);
  EXPECT_EQ(documents.ends.back(), 399);
  const Clusters blocks = choose_clusters(data::strided_windows(400, 20, 10), Starts{0});
  EXPECT_EQ(blocks.unit, "block");
  EXPECT_EQ(blocks.ends.front(), 19);
  EXPECT_EQ(blocks.ends.back(), 399);
}

TEST(Clusters, CountOnlyDocumentsWithScoredTokens) {
  Starts starts;
  for (std::int64_t d = 0; d < 60; ++d) starts.push_back(10 * d);
  const std::vector<data::Window> windows = {{0, 50}, {50, 50}};
  EXPECT_EQ(choose_clusters(windows, starts).ends.size(), 11u);
}

// How often intervals at 95% miss the mean of all texts like this one, where documents have levels of their
// own. `shares` are the documents' lengths in tokens.
double misses(const std::vector<std::int64_t>& lengths) {
  constexpr int kTrials = 2000;
  Starts starts;
  std::int64_t tokens = 0;
  for (const std::int64_t length : lengths) {
    starts.push_back(tokens);
    tokens += length;
  }
  const std::vector<data::Window> windows = data::consecutive_windows(tokens, 16);
  const Clusters clusters = choose_clusters(windows, starts);
  RandomStream random(11, "levels");
  int missed = 0;
  for (int trial = 0; trial < kTrials; ++trial) {
    std::vector<double> values;
    for (const std::int64_t length : lengths) {
      const double level = 0.5 * random.normal();
      for (std::int64_t i = 0; i < length; ++i) values.push_back(level + random.normal());
    }
    values.pop_back();  // one token is not scored
    const auto interval = confidence_interval(clustered_mean(values, clusters.ends), 0.95);
    missed += interval->low > 0 || interval->high < 0;
  }
  return missed / static_cast<double>(kTrials);
}

// The binomial error of 2000 trials is 0.5%.
TEST(Clusters, IntervalsCoverTextsOfFewDocuments) {
  for (const std::int64_t documents : {3, 5, 10, 29, 40}) {
    const double missed =
        misses(std::vector<std::int64_t>(static_cast<std::size_t>(documents), 1200 / documents));
    EXPECT_GT(missed, 0.02) << documents;
    EXPECT_LT(missed, 0.065) << documents;
  }
}

TEST(Clusters, IntervalsCoverTextsOfADocumentAmongSmallerOnes) {
  for (const std::int64_t large : {150, 700}) {
    std::vector<std::int64_t> lengths(39, 30);
    lengths.push_back(large);
    EXPECT_LT(misses(lengths), 0.065) << large;
  }
}

}  // namespace
}  // namespace regroup::eval
