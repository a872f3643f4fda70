#include "core/data/overlap.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "core/base/random.h"

namespace regroup::data {
namespace {

// `count` tokens out of 50, none like those of another name.
std::vector<Token> tokens_of(const char* name, std::size_t count) {
  RandomStream random(1, name);
  std::vector<Token> tokens(count);
  for (Token& token : tokens) token = static_cast<Token>(random.below(50));
  return tokens;
}

TokenStream stream_of(std::vector<std::vector<Token>> documents, const std::string& name = "a.txt") {
  TokenStream stream;
  for (const auto& document : documents) {
    stream.document_starts.push_back(std::ssize(stream.tokens));
    stream.tokens.insert(stream.tokens.end(), document.begin(), document.end());
  }
  stream.sources = {name};
  stream.source_starts = {0};
  return stream;
}

// By comparing everything with everything.
std::int64_t slow_overlap(const TokenStream& train, const TokenStream& held_out, std::int64_t run) {
  std::vector<bool> shared(held_out.tokens.size());
  for (std::int64_t i = 0; i + run <= std::ssize(held_out.tokens); ++i)
    for (std::int64_t j = 0; j + run <= std::ssize(train.tokens); ++j)
      if (std::equal(held_out.tokens.begin() + i, held_out.tokens.begin() + i + run,
                     train.tokens.begin() + j))
        std::fill_n(shared.begin() + i, run, true);
  return std::ranges::count(shared, true);
}

TEST(Overlap, OfAStreamWithItselfIsAllOfIt) {
  const TokenStream stream = stream_of({tokens_of("a", 500)});
  const Overlap result = overlap(stream, stream);
  EXPECT_EQ(result.tokens, 500);
  EXPECT_EQ(result.share, 1);
  ASSERT_TRUE(result.first);
  EXPECT_EQ(result.first->held_out, 0);
  EXPECT_EQ(result.first->train, 0);
}

TEST(Overlap, OfDifferentTextsIsNone) {
  const Overlap result = overlap(stream_of({tokens_of("a", 5000)}), stream_of({tokens_of("b", 5000)}));
  EXPECT_EQ(result.tokens, 0);
  EXPECT_EQ(result.share, 0);
  EXPECT_FALSE(result.first);
}

TEST(Overlap, FindsOneSharedParagraphAndSaysWhere) {
  const auto paragraph = tokens_of("shared", 70);
  auto in_train = tokens_of("c", 33), in_held_out = tokens_of("d", 100);
  in_train.insert(in_train.end(), paragraph.begin(), paragraph.end());
  in_held_out.insert(in_held_out.begin() + 41, paragraph.begin(), paragraph.end());
  const TokenStream train = stream_of({tokens_of("a", 2000), in_train, tokens_of("b", 300)}, "train.txt");
  const TokenStream held_out = stream_of({tokens_of("e", 30), in_held_out}, "held.txt");
  const Overlap result = overlap(train, held_out, 64);
  EXPECT_EQ(result.tokens, 70);
  EXPECT_DOUBLE_EQ(result.share, 70. / 200);
  ASSERT_TRUE(result.first);
  EXPECT_EQ(place_of(held_out, result.first->held_out), "held.txt, document 2, token 42");
  EXPECT_EQ(place_of(train, result.first->train), "train.txt, document 2, token 34");
  EXPECT_EQ(overlap(train, held_out, 70).tokens, 70);
  EXPECT_EQ(overlap(train, held_out, 71).tokens, 0);
}

TEST(Overlap, IsWhatComparingEverythingFinds) {
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    RandomStream random(seed, "overlap");
    const auto draw = [&](std::size_t count, std::uint64_t letters) {
      std::vector<Token> tokens(count);
      for (Token& token : tokens) token = static_cast<Token>(random.below(letters));
      return tokens;
    };
    const std::uint64_t letters = 1 + seed % 4;  // one letter: everything is a run
    const TokenStream train = stream_of({draw(120, letters)}), held_out = stream_of({draw(90, letters)});
    for (const std::int64_t run : {1, 5, 8})
      EXPECT_EQ(overlap(train, held_out, run).tokens, slow_overlap(train, held_out, run))
          << seed << " " << run;
  }
}

TEST(Overlap, OfStreamsShorterThanARunIsNone) {
  const TokenStream short_one = stream_of({tokens_of("a", 63)}), long_one = stream_of({tokens_of("a", 64)});
  EXPECT_FALSE(overlap(long_one, short_one).first);
  EXPECT_FALSE(overlap(short_one, long_one).first);
  EXPECT_EQ(overlap(long_one, long_one).tokens, 64);
}

TEST(PlaceOf, CountsDocumentsWithinTheirFile) {
  TokenStream stream = stream_of({tokens_of("a", 10), tokens_of("b", 10), tokens_of("c", 10)});
  stream.sources = {"a.txt", "b.txt"};
  stream.source_starts = {0, 10};
  EXPECT_EQ(place_of(stream, 0), "a.txt, document 1, token 1");
  EXPECT_EQ(place_of(stream, 12), "b.txt, document 1, token 3");
  EXPECT_EQ(place_of(stream, 29), "b.txt, document 2, token 10");
}

}  // namespace
}  // namespace regroup::data
