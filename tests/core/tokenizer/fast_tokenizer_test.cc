// tokenizer.json, and vocab.json with merges.txt, against Hugging Face's tokenizers
// (tests/oracle/fast_tokenizers.py).
#include <gtest/gtest.h>

#include <bit>
#include <chrono>
#include <cstdint>
#include <thread>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/hash.h"
#include "core/base/json.h"
#include "core/tokenizer/tokenizer.h"
#include "core/tokenizer/unicode.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"

namespace regroup::tokenizer {
namespace {

const std::filesystem::path kFast = REGROUP_SOURCE_DIR "/tests/goldens/tokenizer/fast";

std::string digest(const std::vector<Token>& tokens) {
  static_assert(std::endian::native == std::endian::little);
  Sha256 hash;
  hash.update(std::as_bytes(std::span(tokens)));
  return hash.hex();
}

// The script's megabyte(): words, and runs of characters of one range.
std::string hostile_text(std::size_t at_least) {
  const Json from = read_json(kFast / "megabyte.json");
  std::uint64_t state = 1;
  const auto draw = [&](std::uint64_t below) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (state >> 33) % below;
  };
  std::string text;
  while (text.size() < at_least) {
    if (draw(2) == 0) {
      text += from["words"][draw(from["words"].size())].get<std::string>();
      continue;
    }
    const Json& range = from["ranges"][draw(from["ranges"].size())];
    const auto low = range[0].get<std::uint64_t>(), high = range[1].get<std::uint64_t>();
    for (auto left = 1 + draw(11); left > 0; --left)
      append_character(text, static_cast<char32_t>(low + draw(high - low + 1)));
  }
  return text;
}

std::vector<Token> joined(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<Token> ids;
  for (const std::string_view part : tokenizer.parts(text))
    for (const Token id : tokenizer.encode(part)) ids.push_back(id);
  return ids;
}

TEST(FastTokenizer, HasTheIdsAndTheTextOfTheReference) {
  const Json goldens = read_json(kFast / "goldens.json");
  EXPECT_GE(goldens["tokenizers"].size(), 20u);
  for (const auto& [name, golden] : goldens["tokenizers"].items()) {
    const auto tokenizer = open_tokenizer(kFast / name);
    for (std::size_t i = 0; i < goldens["texts"].size(); ++i) {
      const auto text = goldens["texts"][i].get<std::string>();
      const auto ids = golden["ids"][i].get<std::vector<Token>>();
      EXPECT_EQ(tokenizer->encode(text), ids) << name << ": " << text;
      EXPECT_EQ(tokenizer->decode(ids), golden["decoded"][i].get<std::string>()) << name << ": " << text;
    }
    const auto start = golden["start"].get<std::vector<Token>>();
    EXPECT_EQ(tokenizer->document_start(), start.empty() ? std::nullopt : std::optional(start.front()))
        << name;
  }
}

TEST(FastTokenizer, HasTheIdsOfTheReferenceOnAMegabyteOfHostileUnicode) {
  const std::string text = hostile_text(1'000'000);
  const Json goldens = read_json(kFast / "goldens.json");
  for (const auto& [name, golden] : goldens["tokenizers"].items()) {
    const auto tokenizer = open_tokenizer(kFast / name);
    const auto ids = tokenizer->encode(text);
    EXPECT_EQ(digest(ids), golden["megabyte"].get<std::string>()) << name;
    EXPECT_EQ(digest(joined(*tokenizer, text)), digest(ids)) << name;
  }
}

// What a live run of the libraries found stands in the page, written by tests/oracle/tokenizer_parity.py.
TEST(FastTokenizer, IsMeasured) {
  const std::string page = read_text(REGROUP_SOURCE_DIR "/docs/tokenizers.md");
  const Json goldens = read_json(kFast / "goldens.json");
  for (const auto& [name, golden] : goldens["tokenizers"].items())
    EXPECT_NE(page.find("| fast/" + name + " | tokenizers "), std::string::npos)
        << name << ": tests/oracle/tokenizer_parity.py --page";
}

// Letters with spaces between them, where texts are cut.
TEST(FastTokenizer, PartsEncodeToTheIdsOfTheWhole) {
  std::string text = "  The can't,\n\n  of";
  for (int i = 0; text.size() < 1'000'000; ++i) {
    const std::string hostile = i % 7 == 0 ? hostile_text(30 + static_cast<std::size_t>(i % 50)) : "";
    text += i % 5 == 0 ? " \xd0\xb8 \xd0\xbd\xd0\xb0" : i % 3 == 0 ? " and in 12 days" : " unto the LORD.\n";
    text += hostile;
  }
  std::size_t cut = 0;
  const Json goldens = read_json(kFast / "goldens.json");
  for (const auto& [name, golden] : goldens["tokenizers"].items()) {
    const auto tokenizer = open_tokenizer(kFast / name);
    EXPECT_EQ(digest(joined(*tokenizer, text)), digest(tokenizer->encode(text))) << name;
    cut += tokenizer->parts(text).size() > 1;
  }
  EXPECT_GE(cut, 14u) << "most kinds allow cuts";
}

TEST(FastTokenizer, GivesEveryThreadTheSameIds) {
  const auto tokenizer = open_tokenizer(kFast / "qwen2.json");
  const std::string text = hostile_text(100'000);
  const auto expected = tokenizer->encode(text);
  std::vector<std::vector<Token>> found(4);
  {
    std::vector<std::jthread> threads;
    for (auto& ids : found) threads.emplace_back([&] { ids = tokenizer->encode(text); });
  }
  for (const auto& ids : found) EXPECT_EQ(ids, expected);
}

// A quadratic encoder would take hours.
TEST(FastTokenizer, TakesTextWithoutWordsInItsStride) {
  const auto before = std::chrono::steady_clock::now();
  for (const char* name : {"qwen2.json", "olmo.json", "bloom.json", "llama.json", "persimmon.json"}) {
    const auto tokenizer = open_tokenizer(kFast / name);
    for (const char* piece : {"a", " ", "\n", "'", "\xe4\xb8\x80", "ab", "\xe2\x96\x81"}) {
      std::string text;
      while (text.size() < 300'000) text += piece;
      EXPECT_FALSE(tokenizer->encode(text).empty()) << name;
    }
  }
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - before;
  EXPECT_LT(taken.count(), 300);
}

TEST(FastTokenizer, ReadsBytesThatAreNoUtf8AsReplacements) {
  const auto tokenizer = open_tokenizer(kFast / "olmo.json");
  EXPECT_EQ(tokenizer->encode("a\xff b\xe4\xb8"), tokenizer->encode("a\xef\xbf\xbd b\xef\xbf\xbd"));
}

TEST(FastTokenizer, ReadsUnknownIdsAsTheUnknownToken) {
  const auto olmo = open_tokenizer(kFast / "olmo.json");
  const auto a = olmo->encode("a");
  EXPECT_EQ(olmo->decode(std::vector<Token>{a[0], 100000, -1, a[0]}), "aa");
}

TEST(FastTokenizer, TellsItsWholeVocabulary) {
  const auto pre = [](const char* name) { return open_tokenizer(kFast / name)->vocabulary().pre; };
  EXPECT_EQ(pre("qwen2.json"), "qwen2");
  EXPECT_EQ(pre("stablelm2.json"), "qwen2");
  EXPECT_EQ(pre("llama3.json"), "llama-bpe");
  EXPECT_EQ(pre("olmo2.json"), "dbrx");
  EXPECT_EQ(pre("olmo.json"), "gpt-2");
  EXPECT_EQ(pre("codegen"), "gpt-2");
  EXPECT_EQ(pre("bloom.json"), "bloom");
  EXPECT_EQ(pre("falcon.json"), "falcon");
  EXPECT_EQ(pre("command_r.json"), "command-r");
  EXPECT_EQ(pre("deepseek_coder.json"), "deepseek-coder");
  EXPECT_EQ(pre("deepseek_llm.json"), "deepseek-llm") << "its line ends stand in the pattern as they are";
  EXPECT_EQ(pre("gpt_prefix.json"), "") << "llama.cpp puts no space before a text";
  EXPECT_EQ(pre("llama.json"), "default");

  const Vocabulary olmo = open_tokenizer(kFast / "olmo.json")->vocabulary();
  EXPECT_EQ(olmo.model, "gpt2");
  ASSERT_EQ(olmo.pieces.size(), 464u);
  EXPECT_EQ(olmo.pieces[460].text, "<|endoftext|>");
  EXPECT_EQ(olmo.pieces[460].kind, PieceKind::kControl);
  EXPECT_EQ(olmo.pieces[461].text, "    ");
  EXPECT_EQ(olmo.pieces[461].kind, PieceKind::kUserDefined);
  EXPECT_EQ(olmo.merges.size(), 460u - 256u);
  EXPECT_FALSE(olmo.space_prefix);

  const Vocabulary llama = open_tokenizer(kFast / "llama.json")->vocabulary();
  EXPECT_EQ(llama.model, "llama");
  EXPECT_TRUE(llama.space_prefix);
  EXPECT_EQ(llama.bos, 1);
  EXPECT_TRUE(llama.document_start);
  EXPECT_EQ(llama.pieces[0].kind, PieceKind::kUnknown);
  EXPECT_EQ(llama.pieces[3].kind, PieceKind::kByte);
  // Joining by score is joining in the order of the merges.
  const auto tokenizer = open_tokenizer(kFast / "llama.json");
  const auto piece_of_merge = [&](std::size_t rank) {
    std::string text = llama.merges[rank];
    text.erase(text.find(' '), 1);
    const auto found = std::ranges::find(llama.pieces, text, &Piece::text);
    return found->score;
  };
  EXPECT_EQ(piece_of_merge(0), 0);
  EXPECT_GT(piece_of_merge(1), piece_of_merge(2));
}

TEST(OpenTokenizer, TakesTheFilesThatTransformersTakes) {
  const testing::TempDir temporary;
  const auto at = temporary.path();
  std::filesystem::copy_file(kFast / "codegen/vocab.json", at / "vocab.json");
  std::filesystem::copy_file(kFast / "codegen/merges.txt", at / "merges.txt");
  using Paths = std::vector<std::filesystem::path>;
  EXPECT_EQ(tokenizer_files(at), (Paths{at / "vocab.json", at / "merges.txt"}));
  EXPECT_EQ(open_tokenizer(at)->vocab_size(), 461);
  std::filesystem::copy_file(REGROUP_SOURCE_DIR "/tests/goldens/tokenizer/llama.model",
                             at / "tokenizer.model");
  EXPECT_EQ(tokenizer_files(at), Paths{at / "tokenizer.model"});
  EXPECT_EQ(open_tokenizer(at)->vocab_size(), 512);
  std::filesystem::copy_file(kFast / "qwen2.json", at / "tokenizer.json");
  EXPECT_EQ(tokenizer_files(at), Paths{at / "tokenizer.json"});
  EXPECT_EQ(open_tokenizer(at)->vocab_size(), 462);
  EXPECT_EQ(open_tokenizer(at / "vocab.json")->vocab_size(), 461);
}

TEST(OpenTokenizer, TakesTheNamesAndTheConventionOfTheConfiguration) {
  const testing::TempDir temporary;
  std::filesystem::copy_file(kFast / "llama3.json", temporary / "tokenizer.json");
  EXPECT_EQ(open_tokenizer(temporary.path())->document_start(), 460);
  EXPECT_EQ(open_tokenizer(temporary.path())->end_of_sequence(), std::nullopt);
  const auto with = [&](const std::string& config) {
    std::filesystem::remove(temporary / "tokenizer_config.json");
    write_text(temporary / "tokenizer_config.json", config);
    return open_tokenizer(temporary.path());
  };
  EXPECT_EQ(with(R"({"add_bos_token": false})")->document_start(), std::nullopt);
  EXPECT_EQ(with(R"({"eos_token": {"content": "a"}})")->end_of_sequence(),
            open_tokenizer(temporary.path())->encode("a").front());
  const auto more = with(R"({"added_tokens_decoder": {"461": {"content": "<|eot|>", "special": true}},
                             "eos_token": "<|eot|>"})");
  EXPECT_EQ(more->end_of_sequence(), 461);
  EXPECT_EQ(more->vocab_size(), 462);
}

// As many as there are names for images, places or users; half of them in the file, half beside it.
TEST(OpenTokenizer, TakesManyAddedTokensInItsStride) {
  constexpr int kTokens = 100'000;
  const testing::TempDir temporary;
  Json file = read_json(kFast / "olmo2.json");
  SortedJson beside = SortedJson::object();
  const int first = open_tokenizer(kFast / "olmo2.json")->vocab_size();
  for (int i = 0; i < kTokens; ++i) {
    const std::string content = "<|place " + std::to_string(i) + "|>";
    if (i < kTokens / 2) file["added_tokens"].push_back({{"id", first + i}, {"content", content}});
    beside[content] = first + i;
  }
  write_text(temporary / "tokenizer.json", file.dump());
  write_text(temporary / "added_tokens.json", beside.dump());
  const auto before = std::chrono::steady_clock::now();
  EXPECT_EQ(open_tokenizer(temporary.path())->vocab_size(), first + kTokens);
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - before;
  EXPECT_LT(taken.count(), 10);
}

// Ids by tokenizers 0.23.3.
TEST(FastTokenizer, MakesOneTokenOfUnknownCharactersInARowWhereTheFileSaysSo) {
  const testing::TempDir temporary;
  Json file = read_json(kFast / "no_fallback.json");
  const auto ids = [&](bool fuse) {
    file["model"]["fuse_unk"] = fuse;
    const auto path = temporary / (fuse ? "fused.json" : "apart.json");
    write_text(path, to_text(file));
    return open_tokenizer(path)->encode("\u65e5\u672c\u8a9ea\u65e5\u672c \u672c");
  };
  EXPECT_EQ(ids(true), (std::vector<Token>{347, 0, 307, 0, 347, 0}));
  EXPECT_EQ(ids(false), (std::vector<Token>{347, 0, 0, 0, 307, 0, 0, 347, 0}));
}

// Ids by tokenizers 0.23.3: no merge leads to "abb".
TEST(FastTokenizer, TakesAWordThatIsAPieceWholeWhereTheFileSaysSo) {
  const testing::TempDir temporary;
  Json file = Json::parse(R"({"added_tokens": [], "normalizer": null, "pre_tokenizer": null,
    "post_processor": null, "decoder": null,
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2, "abb": 3}, "merges": ["a b"]}})");
  const auto ids = [&](bool ignore) {
    file["model"]["ignore_merges"] = ignore;
    const auto path = temporary / (ignore ? "whole.json" : "merged.json");
    write_text(path, to_text(file));
    return open_tokenizer(path)->encode("abb");
  };
  EXPECT_EQ(ids(true), std::vector<Token>{3});
  EXPECT_EQ(ids(false), (std::vector<Token>{2, 1}));
}

// Ids by tokenizers 0.23.3: what follows an added token is no beginning of a text.
TEST(FastTokenizer, PutsASymbolBeforeWhatItsPrependSchemeSays) {
  const testing::TempDir temporary;
  Json file = read_json(kFast / "metaspace.json");
  file["added_tokens"].push_back({{"id", 679}, {"content", "<foo>"}, {"special", false}});
  const auto ids = [&](const std::string& scheme) {
    file["pre_tokenizer"]["prepend_scheme"] = scheme;
    write_text(temporary / (scheme + ".json"), to_text(file));
    return open_tokenizer(temporary / (scheme + ".json"))->encode("the<foo>the");
  };
  EXPECT_EQ(ids("first"), (std::vector<Token>{353, 679, 349, 311}));
  EXPECT_EQ(ids("always"), (std::vector<Token>{353, 679, 353}));
  EXPECT_EQ(ids("never"), (std::vector<Token>{349, 311, 679, 349, 311}));
}

// Ids by tokenizers 0.23.3. (A token of its own: "red" of added.json is a piece, too, and has one id either
// way.)
TEST(FastTokenizer, FindsATokenInsideAWordUnlessItIsToStandAlone) {
  const testing::TempDir temporary;
  Json file = read_json(kFast / "qwen2.json");
  file["added_tokens"].push_back({{"id", 462}, {"content", "zq"}, {"special", false}});
  const auto ids = [&](bool alone) {
    file["added_tokens"].back()["single_word"] = alone;
    const auto path = temporary / (alone ? "alone.json" : "inside.json");
    write_text(path, to_text(file));
    return open_tokenizer(path)->encode("zq zqs,zq _zq");
  };
  EXPECT_EQ(ids(true), (std::vector<Token>{462, 220, 89, 80, 82, 11, 462, 220, 62, 89, 80}));
  EXPECT_EQ(ids(false), (std::vector<Token>{462, 220, 462, 82, 11, 462, 220, 62, 462}));
}

class BadTokenizer : public ::testing::Test {
 protected:
  // The message for qwen2.json with `change` made to its JSON.
  template <typename Change>
  std::string message(Change change) {
    Json file = read_json(kFast / "qwen2.json");
    change(file);
    return message_of_text(to_text(file));
  }

  std::string message_of_text(const std::string& text) {
    std::filesystem::remove(temporary_ / "tokenizer.json");
    write_text(temporary_ / "tokenizer.json", text);
    std::string found = testing::user_error_of([&] { open_tokenizer(temporary_ / "tokenizer.json"); });
    const std::string where = temporary_.path().string() + "/tokenizer.json";
    EXPECT_TRUE(found.starts_with(where)) << found;
    return found.substr(std::min(found.size(), where.size()));
  }

  const testing::TempDir temporary_;
};

TEST_F(BadTokenizer, IsRefusedByNameWhereAPartIsNotSupported) {
  EXPECT_EQ(message([](Json& file) {
              file["normalizer"] = {{"type", "BertNormalizer"}};
            }),
            ": normalizer: a kind that is not supported: expected NFC, NFD, NFKC, NFKD, Replace, Prepend or "
            "Sequence, found BertNormalizer");
  EXPECT_CONTAINS(message([](Json& file) {
                    file["pre_tokenizer"] = {{"type", "BertPreTokenizer"}};
                  }),
                  ": pre_tokenizer: a kind that is not supported: expected ByteLevel, Split, ");
  EXPECT_CONTAINS(message([](Json& file) { file["decoder"] = {{"type", "WordPiece"}}; }), "found WordPiece");
  EXPECT_CONTAINS(message([](Json& file) {
                    file["post_processor"] = {{"type", "BertProcessing"}};
                  }),
                  "found BertProcessing");
  EXPECT_CONTAINS(message([](Json& file) { file["model"]["type"] = "WordPiece"; }),
                  ": model: a kind that is not supported: expected BPE or Unigram, found WordPiece");
  EXPECT_CONTAINS(message([](Json& file) { file["model"]["dropout"] = 0.1; }),
                  "ids would be random: found 0.1");
  EXPECT_CONTAINS(message([](Json& file) { file["model"]["end_of_word_suffix"] = "</w>"; }),
                  "model.end_of_word_suffix: not supported: found \"</w>\"");
}

TEST_F(BadTokenizer, IsRefusedWhereItsContentMakesNoSense) {
  EXPECT_CONTAINS(message_of_text("{\"model\": "), "not valid JSON");
  EXPECT_CONTAINS(message_of_text(""), "not valid JSON");
  EXPECT_CONTAINS(message_of_text("[]"), "not a JSON object");
  EXPECT_CONTAINS(message_of_text("{}"), "no \"model\"");
  EXPECT_EQ(message([](Json& file) {
              file["model"]["merges"].push_back(Json::array({"a", "nowhere"}));
            }),
            ": model: merge 204 names what is not in the vocabulary: found \"nowhere\" in \"a nowhere\"");
  EXPECT_CONTAINS(
      message([](Json& file) { file["model"]["merges"].push_back("a b c"); }),
      "a merge that is not of two pieces: expected \"left right\" or [\"left\", \"right\"], found "
      "\"a b c\"");
  EXPECT_EQ(message([](Json& file) { file["model"]["vocab"]["new"] = 7; }).substr(0, 50),
            ": model.vocab: two pieces have the id 7: found \"(\"");
  EXPECT_CONTAINS(message([](Json& file) { file["model"]["vocab"]["new"] = -1; }),
                  "the id of \"new\" is out of range: expected 0 to 66457, found -1");
  EXPECT_CONTAINS(message([](Json& file) { file["model"]["vocab"]["new"] = 1LL << 40; }), "is out of range");
  EXPECT_CONTAINS(message([](Json& file) { file["model"]["vocab"]["new"] = "7"; }),
                  "an id that is no integer: found \"7\"");
  EXPECT_CONTAINS(message([](Json& file) { file["model"]["unk_token"] = "<unk>"; }),
                  "the unknown token \"<unk>\" is not in the vocabulary");
  EXPECT_CONTAINS(
      message([](Json& file) { file["added_tokens"][0]["id"] = 5; }),
      ": added_tokens: \"<|endoftext|>\" has an id that is not its own: expected id 460, found 5");
  EXPECT_CONTAINS(message([](Json& file) { file["added_tokens"].push_back(file["added_tokens"][0]); }),
                  "\"<|endoftext|>\" is there twice");
  EXPECT_CONTAINS(
      message([](Json& file) { file["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = "(a"; }),
      "a pattern that cannot be read: found \"(a\" (end pattern with unmatched parenthesis)");
  EXPECT_CONTAINS(
      message([](Json& file) { file["pre_tokenizer"]["pretokenizers"][0]["behavior"] = "Odd"; }),
      "behavior: a wrong value: expected Removed, Isolated, MergedWithPrevious, MergedWithNext or "
      "Contiguous, found \"Odd\"");
  EXPECT_CONTAINS(message_of_text(R"({"model": {"vocab": {"a": 0, "a": 1}, "merges": []}})"),
                  "the key \"a\" is there twice");
  EXPECT_CONTAINS(message_of_text(R"({"model": {"type": "Unigram", "vocab": [["a", "b"]]}})"),
                  "a piece without a score: expected [\"piece\", score], found [\"a\",\"b\"]");
  EXPECT_CONTAINS(message_of_text(R"({"model": {"type": "Unigram", "vocab": [["a", 0]], "unk_id": 1}})"),
                  "unk_id: a wrong value: expected the id of a piece, found 1");
}

TEST_F(BadTokenizer, OfAClassThatReadsTheTwoFilesInAnotherWayIsRefused) {
  write_text(temporary_ / "vocab.json", "{}");
  write_text(temporary_ / "merges.txt", "");
  write_text(temporary_ / "tokenizer_config.json", R"({"tokenizer_class": "CLIPTokenizer"})");
  EXPECT_CONTAINS(testing::user_error_of([&] { open_tokenizer(temporary_.path()); }),
                  "expected GPT2Tokenizer, CodeGenTokenizer or Qwen2Tokenizer for vocab.json and merges.txt, "
                  "found \"tokenizer_class\": \"CLIPTokenizer\"");
}

TEST_F(BadTokenizer, OfMergesThatAreNoUtf8IsRefused) {
  write_text(temporary_ / "vocab.json", R"({"a": 0})");
  write_text(temporary_ / "merges.txt", "a\x8e b c\n");
  EXPECT_CONTAINS(testing::user_error_of([&] { open_tokenizer(temporary_.path()); }),
                  "found \"a\ufffd b c\"");
}

}  // namespace
}  // namespace regroup::tokenizer
