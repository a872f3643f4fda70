// The parts of fast tokenizers, each by itself.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/random.h"
#include "core/tokenizer/cuts.h"
#include "core/tokenizer/pair_table.h"
#include "core/tokenizer/regex.h"
#include "core/tokenizer/tokenizer.h"
#include "core/tokenizer/unicode.h"

namespace regroup::tokenizer {
namespace {

const std::filesystem::path kFast = REGROUP_SOURCE_DIR "/tests/goldens/tokenizer/fast";

bool is_surrogate(char32_t character) {
  return character >= 0xD800 && character < 0xE000;
}

// How many characters tokenizers 0.23.3 finds by each pattern (Split), by Digits and by Punctuation.
TEST(Unicode, HasTheVersionsOfTheReference) {
  std::string all;
  std::map<std::string, int> counts;
  for (char32_t character = 1; character < 0x110000; ++character) {
    if (is_surrogate(character)) continue;
    append_character(all, character);
    counts["numeric"] += is_numeric(character);
    counts["punctuation"] += is_punctuation(character);
  }
  for (const char* pattern : {R"(\p{L})", R"(\p{N})", R"(\s)", R"(\p{P})", R"(\p{M})", R"(\p{Han})", R"(\w)",
                              R"(\p{Lu})", R"(\p{Ll})", R"(\p{S})"})
    counts[pattern] = static_cast<int>(Regex(pattern, "here").matches(all).size());
  const std::map<std::string, int> expected = {
      {R"(\p{L})", 141028}, {R"(\p{N})", 1911}, {R"(\s)", 25},         {R"(\p{P})", 855},
      {R"(\p{M})", 2501},   {R"(\w)", 144671},  {R"(\p{Han})", 99030}, {R"(\p{Lu})", 1858},
      {R"(\p{Ll})", 2258},  {R"(\p{S})", 8514}, {"numeric", 1924},     {"punctuation", 726}};
  EXPECT_EQ(counts, expected);
}

TEST(Unicode, NormalizesWhatUnicode9Knows) {
  EXPECT_EQ(normalize(Form::kNfc, "e\u0301 \u1100\u1161"), "\u00e9 \uac00");
  EXPECT_EQ(normalize(Form::kNfkc, "\ufb01"), "fi");
  EXPECT_EQ(normalize(Form::kNfkc, "\u32ff"), "\u32ff") << "of Unicode 12.1";
  EXPECT_EQ(normalize(Form::kNfc, "\U00011935\U00011930"), "\U00011935\U00011930") << "of Unicode 13";
  EXPECT_EQ(normalize(Form::kNfc, "a\u1df9\u0334"), "a\u1df9\u0334") << "a mark of Unicode 10 moves nowhere";
}

// By looking at all pairs, again and again.
std::vector<Token> joined_plainly(const PairTable& table, std::vector<Token> symbols) {
  while (true) {
    std::size_t best = symbols.size();
    Joined least;
    for (std::size_t i = 0; i + 1 < symbols.size(); ++i) {
      const Joined joined = table.find(symbols[i], symbols[i + 1]);
      if (joined.rank < 0 || (least.rank >= 0 && joined.rank >= least.rank)) continue;
      least = joined;
      best = i;
    }
    if (best == symbols.size()) return symbols;
    symbols[best] = least.id;
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
}

TEST(PairTable, JoinsTheLeastRankAndOfItsPlacesTheLeftmost) {
  PairTable table;
  table.set(0, 0, {.rank = 0, .id = 1});
  for (const std::size_t size : {3u, 101u}) {
    std::vector<Token> symbols(size, 0);
    join_neighbours(table, symbols);
    EXPECT_EQ(symbols.size(), size / 2 + 1);
    EXPECT_EQ(symbols.back(), 0) << "the odd one out is the last";
  }
  RandomStream random(1, "pairs");
  for (int round = 0; round < 300; ++round) {
    PairTable merges;
    for (std::int32_t rank = 0; rank < 40; ++rank)
      merges.set(static_cast<Token>(random.below(4 + static_cast<std::uint64_t>(rank))),
                 static_cast<Token>(random.below(4 + static_cast<std::uint64_t>(rank))),
                 {.rank = rank, .id = 4 + rank});
    std::vector<Token> symbols(2 + random.below(120));
    for (Token& symbol : symbols) symbol = static_cast<Token>(random.below(4));
    const auto expected = joined_plainly(merges, symbols);
    join_neighbours(merges, symbols);
    EXPECT_EQ(symbols, expected);
  }
}

// At every place that is allowed, however close.
TEST(Cuts, AreWhereNothingChanges) {
  const Json goldens = read_json(kFast / "goldens.json");
  std::string texts;
  for (const Json& text : goldens["texts"])
    texts += text.get<std::string>() + " and the LORD's \u0438 \u043d 12 ";
  int cut = 0;
  for (const auto& [name, golden] : goldens["tokenizers"].items()) {
    if (!name.ends_with(".json")) continue;
    const std::string path = (kFast / name).string();
    const SortedJson file = parse_sorted_json(read_text(path), path);
    const auto normalizer = read_normalizer(file["normalizer"], path);
    const PreTokenizer pre_tokenizer(file["pre_tokenizer"], path);
    const auto model = read_word_model({file["model"], path}, pre_tokenizer.gives_bytes());
    const AddedTokens added({file, path}, model->pieces(), normalizer.get());
    const Cuts cuts(normalizer.get(), pre_tokenizer, *model, added);
    const auto tokenizer = open_tokenizer(path);
    std::vector<Token> ids;
    const auto parts = cuts.parts(texts, 1);
    for (const std::string_view part : parts)
      for (const Token id : tokenizer->encode(part)) ids.push_back(id);
    EXPECT_EQ(ids, tokenizer->encode(texts)) << name;
    cut += parts.size() > 50;
  }
  EXPECT_GE(cut, 13);
}

TEST(Cuts, AreNotWhereAPieceReachesAcross) {
  const std::string path = (kFast / "llama.json").string();
  SortedJson file = parse_sorted_json(read_text(path), path);
  const auto parts = [&] {
    const auto normalizer = read_normalizer(file["normalizer"], path);
    const PreTokenizer pre_tokenizer(file["pre_tokenizer"], path);
    const auto model = read_word_model({file["model"], path}, false);
    const AddedTokens added({file, path}, model->pieces(), normalizer.get());
    return Cuts(normalizer.get(), pre_tokenizer, *model, added).parts("and the LORD", 1).size();
  };
  EXPECT_EQ(parts(), 3u);
  file["model"]["vocab"]["d\u2581"] = file["model"]["vocab"].size();
  EXPECT_EQ(parts(), 2u);
}

}  // namespace
}  // namespace regroup::tokenizer
