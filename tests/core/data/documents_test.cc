#include "core/data/documents.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "tests/support/expect_error.h"

namespace regroup::data {
namespace {

using testing::user_error_of;
using Lengths = std::vector<std::int64_t>;

// Documents of 1, 2, 9, 10 and 30 tokens, of which the second starts at 1 and so on.
const std::vector<std::int64_t> kStarts = {0, 1, 3, 12, 22};
constexpr std::int64_t kEnd = 52;

TEST(DocumentRules, AreFoundByName) {
  EXPECT_EQ(document_rules().front().name, "joined");
  for (const DocumentRule& rule : document_rules()) EXPECT_EQ(&document_rule(rule.name), &rule);
  EXPECT_EQ(user_error_of([] { document_rule("split"); }),
            "--documents: unknown name: expected one of joined, masked, apart, found 'split'");
}

TEST(DocumentWindows, MakeEveryTokenButTheFirstOfADocumentATargetOnceAnEpoch) {
  for (const std::int64_t length : {1, 4, 8, 9, 100}) {
    const DocumentWindows windows(kStarts, kEnd, length, 3);
    for (std::int64_t epoch = 0; epoch < 5; ++epoch) {
      std::map<std::int64_t, int> targets;
      for (std::int64_t i = 0; i < windows.per_epoch(); ++i) {
        const Window window = windows.at(epoch * windows.per_epoch() + i);
        ASSERT_GE(window.length, 1);
        ASSERT_LE(window.length, length);
        for (std::int64_t t = 1; t <= window.length; ++t) ++targets[window.begin + t];
      }
      for (std::int64_t token = 0; token < kEnd; ++token) {
        const bool starts = std::ranges::find(kStarts, token) != kStarts.end();
        EXPECT_EQ(targets.contains(token) ? targets[token] : 0, starts ? 0 : 1) << token << " of " << length;
      }
    }
  }
}

TEST(DocumentWindows, ArePureFunctionsOfSeedAndPosition) {
  std::vector<std::int64_t> starts;
  for (std::int64_t i = 0; i < 1000; ++i) starts.push_back(10 * i);
  const DocumentWindows one(starts, 10'000, 16, 7), same(starts, 10'000, 16, 7), other(starts, 10'000, 16, 8);
  int by_seed = 0, by_epoch = 0;
  for (std::int64_t i = one.per_epoch() - 1; i >= 0; --i) {
    EXPECT_EQ(one.at(i), same.at(i));
    by_seed += one.at(i) != other.at(i);
    by_epoch += one.at(i) != one.at(i + one.per_epoch());
  }
  EXPECT_EQ(one.per_epoch(), 1000);
  EXPECT_GT(by_seed, 900);
  EXPECT_GT(by_epoch, 900);
}

TEST(DocumentWindows, RefuseDocumentsWithoutATarget) {
  EXPECT_EQ(user_error_of([] {
              DocumentWindows(std::vector<std::int64_t>{0, 1, 2}, 3, 8, 0);
            }),
            "data: no document to learn from: expected documents of at least 2 tokens, found 3 shorter ones");
}

TEST(DocumentPieces, AreCutWhereDocumentsStart) {
  EXPECT_EQ(document_pieces(kStarts, {0, 8}, 8), (Lengths{1, 2, 5}));
  EXPECT_EQ(document_pieces(kStarts, {3, 9}, 9), (Lengths{9}));
  EXPECT_EQ(document_pieces(kStarts, {4, 9}, 9), (Lengths{8, 1}));
  EXPECT_EQ(document_pieces(kStarts, {30, 8}, 8), (Lengths{8}));
  EXPECT_EQ(document_pieces(kStarts, {11, 2}, 6), (Lengths{1, 5})) << "what fills up belongs to the last";
}

}  // namespace
}  // namespace regroup::data
