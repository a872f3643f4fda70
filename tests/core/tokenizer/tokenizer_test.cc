#include "core/tokenizer/tokenizer.h"

#include <gtest/gtest.h>
#include <sentencepiece_processor.h>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/random.h"
#include "core/tokenizer/sentencepiece_cuts.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"

namespace regroup::tokenizer {
namespace {

const std::filesystem::path kGoldens = REGROUP_SOURCE_DIR "/tests/goldens/tokenizer";
constexpr const char* kModels[] = {"llama.model", "unigram.model", "crossing.model"};

std::string error_of(const std::filesystem::path& path) {
  return testing::user_error_of([&] { open_tokenizer(path); });
}

// A model directory with our small model and the given tokenizer_config.json.
std::filesystem::path model_directory(const testing::TempDir& temporary, const std::string& config) {
  std::filesystem::copy_file(kGoldens / "llama.model", temporary.path() / "tokenizer.model",
                             std::filesystem::copy_options::overwrite_existing);
  std::filesystem::remove(temporary.path() / "tokenizer_config.json");
  if (!config.empty()) write_text(temporary.path() / "tokenizer_config.json", config);
  return temporary.path();
}

TEST(SentencePiece, EncodesAndDecodesHostileTextAsTheReferenceDoes) {
  const Json goldens = read_json(kGoldens / "hostile.json");
  for (const auto& [name, golden] : goldens["models"].items()) {
    const auto tokenizer = open_tokenizer(kGoldens / name);
    for (std::size_t i = 0; i < goldens["texts"].size(); ++i) {
      const auto text = goldens["texts"][i].get<std::string>();
      const auto ids = golden["ids"][i].get<std::vector<Token>>();
      EXPECT_EQ(tokenizer->encode(text), ids) << name << ": " << text;
      EXPECT_EQ(tokenizer->decode(ids), golden["decoded"][i].get<std::string>()) << name << ": " << text;
    }
  }
}

// Words of the goldens, and common ones that pieces reach across, with spaces in any number between them.
std::string random_text(RandomStream& random, const Json& texts) {
  constexpr const char* kCommon[] = {"and", "the", "of", "in", "LORD", "to", "unto", "it", "."};
  std::string text;
  const std::uint64_t count = 1 + random.below(40);
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto golden = texts[random.below(texts.size())].get<std::string>();
    text += random.below(3) == 0 ? golden.substr(0, golden.find(' ')) : kCommon[random.below(9)];
    text += std::string(random.below(8) == 0 ? random.below(4) : 1, ' ');
  }
  return text;
}

TEST(SentencePiece, PartsEncodeToTheIdsOfTheWhole) {
  const Json words = read_json(kGoldens / "hostile.json")["texts"];
  for (const char* name : kModels) {
    sentencepiece::SentencePieceProcessor whole;
    ASSERT_TRUE(whole.Load((kGoldens / name).string()).ok());
    const SentencePieceCuts cuts(read_text(kGoldens / name));
    RandomStream random(1, name);
    for (int round = 0; round < 2000; ++round) {
      const std::string text = random_text(random, words);
      std::vector<Token> joined;
      for (const std::string_view part : cuts.parts(text, 1 + random.below(9)))
        for (const Token token : whole.EncodeAsIds(part)) joined.push_back(token);
      ASSERT_EQ(joined, whole.EncodeAsIds(text)) << name << ": " << text;
    }
  }
}

TEST(SentencePiece, CutsOnlyWhereNoPieceReachesAcross) {
  const auto parts = [](const char* model, std::string_view text) {
    return SentencePieceCuts(read_text(kGoldens / model)).parts(text, 1);
  };
  using Views = std::vector<std::string_view>;
  EXPECT_EQ(parts("llama.model", "and  the LORD "), (Views{"and  the", "LORD "}));
  // Its pieces hold "d" and "e" before a space, but never a "9".
  EXPECT_EQ(parts("crossing.model", "and the 99 men"), (Views{"and the 99", "men"}));
  EXPECT_EQ(parts("unigram.model", "and the LORD"), (Views{"and the LORD"}));
  EXPECT_EQ(parts("llama.model", ""), (Views{""}));
}

TEST(SentencePiece, CutsNothingOfAModelThatIsCutOff) {
  const std::string model = read_text(kGoldens / "llama.model");
  const SentencePieceCuts cuts(std::string_view(model).substr(0, model.size() - 1));
  EXPECT_EQ(cuts.parts("and the LORD", 1).size(), 1u);
}

TEST(SentencePiece, ReadsUnknownIdsAsTheUnknownToken) {
  const auto tokenizer = open_tokenizer(kGoldens / "llama.model");
  EXPECT_EQ(tokenizer->vocab_size(), 512);
  EXPECT_EQ(tokenizer->decode(std::vector<Token>{512, -1}), tokenizer->decode(std::vector<Token>{0, 0}));
}

TEST(SentencePiece, TellsItsWholeVocabulary) {
  for (const char* name : kModels) {
    sentencepiece::SentencePieceProcessor reference;
    ASSERT_TRUE(reference.Load((kGoldens / name).string()).ok());
    const Vocabulary vocabulary = open_tokenizer(kGoldens / name)->vocabulary();
    EXPECT_EQ(vocabulary.model, std::string(name) == "unigram.model" ? "t5" : "llama");
    EXPECT_TRUE(vocabulary.space_prefix);
    ASSERT_EQ(static_cast<int>(vocabulary.pieces.size()), reference.GetPieceSize());
    for (int id = 0; id < reference.GetPieceSize(); ++id) {
      const Piece& piece = vocabulary.pieces[static_cast<std::size_t>(id)];
      EXPECT_EQ(piece.text, reference.IdToPiece(id));
      EXPECT_EQ(piece.score, reference.GetScore(id));
      EXPECT_EQ(piece.kind == PieceKind::kByte, reference.IsByte(id));
      EXPECT_EQ(piece.kind == PieceKind::kControl, reference.IsControl(id));
      EXPECT_EQ(piece.kind == PieceKind::kUnknown, reference.IsUnknown(id));
    }
    EXPECT_EQ(vocabulary.unknown, reference.unk_id());
    EXPECT_EQ(vocabulary.eos, reference.eos_id());
    EXPECT_EQ(vocabulary.document_start, reference.bos_id() >= 0);
  }
}

TEST(SentencePiece, TellsThePiecesThatTheLibraryHas) {
  const testing::TempDir temporary;
  const std::string a_number_in_place_of_a_piece = "\x08\x07";
  write_text(temporary / "tokenizer.model",
             read_text(kGoldens / "llama.model") + a_number_in_place_of_a_piece);
  const auto tokenizer = open_tokenizer(temporary.path());
  EXPECT_EQ(tokenizer->vocab_size(), 512);
  EXPECT_EQ(tokenizer->vocabulary().pieces.size(), 512u);
}

// The fuzzer found them: the library throws at one, and finds only when it encodes that it cannot run the
// other.
TEST(SentencePiece, RefusesModelsThatTheLibraryCannotUse) {
  const std::filesystem::path seeds = REGROUP_SOURCE_DIR "/tests/fuzz/corpus/tokenizer_model";
  EXPECT_CONTAINS(error_of(seeds / "no_trie"), "not a SentencePiece model: found ");
  const auto tokenizer = open_tokenizer(seeds / "contradiction");
  EXPECT_CONTAINS(testing::user_error_of([&] { tokenizer->encode("The can't\n\n  a1234 <s> b\xff"); }),
                  "contradiction: a SentencePiece model that contradicts itself");
}

TEST(OpenTokenizer, StartsDocumentsAsTheConfigurationSays) {
  const testing::TempDir temporary;
  const auto start = [&](const std::string& config) {
    return open_tokenizer(model_directory(temporary, config))->document_start();
  };
  EXPECT_EQ(start(""), 1);
  EXPECT_EQ(start("{}"), 1);
  EXPECT_EQ(start(R"({"tokenizer_class": "LlamaTokenizerFast"})"), 1);
  EXPECT_EQ(start(R"({"tokenizer_class": "LlamaTokenizer", "add_bos_token": true})"), 1);
  EXPECT_EQ(start(R"({"tokenizer_class": "LlamaTokenizer", "add_bos_token": null})"), 1);
  EXPECT_EQ(start(R"({"tokenizer_class": "LlamaTokenizer", "add_bos_token": false})"), std::nullopt);
  EXPECT_EQ(start(R"({"bos_token": {"content": "</s>"}})"), 2);
  EXPECT_EQ(open_tokenizer(kGoldens / "unigram.model")->document_start(), std::nullopt);
}

TEST(OpenTokenizer, TakesTheFileInAModelDirectoryAsTheDirectory) {
  const testing::TempDir temporary;
  const auto directory = model_directory(temporary, R"({"add_bos_token": false, "eos_token": "<s>"})");
  const auto tokenizer = open_tokenizer(directory / "tokenizer.model");
  EXPECT_EQ(tokenizer->document_start(), std::nullopt);
  EXPECT_EQ(tokenizer->end_of_sequence(), 1);
}

TEST(OpenTokenizer, RefusesOtherKindsByName) {
  const testing::TempDir temporary;
  const std::string at = temporary.path().string();
  model_directory(temporary, R"({"tokenizer_class": "GPT2Tokenizer"})");
  EXPECT_EQ(
      error_of(temporary.path()),
      at + "/tokenizer_config.json: a kind of tokenizer that is not supported: expected LlamaTokenizer or "
           "CodeLlamaTokenizer, found \"tokenizer_class\": \"GPT2Tokenizer\". Supported are "
           "tokenizer.json (BPE, unigram), tokenizer.model (SentencePiece), vocab.json with merges.txt");
  model_directory(temporary, R"({"add_prefix_space": false})");
  EXPECT_CONTAINS(error_of(temporary.path()), "\"add_prefix_space\": false is not supported");
  model_directory(temporary, R"({"bos_token": "<|begin|>"})");
  EXPECT_CONTAINS(error_of(temporary.path()), "has no piece '<|begin|>'");
}

TEST(OpenTokenizer, SaysWhatItLookedFor) {
  const testing::TempDir temporary;
  const std::string at = temporary.path().string();
  EXPECT_EQ(error_of(temporary.path() / "nowhere"), at + "/nowhere: does not exist");
  EXPECT_EQ(
      error_of(temporary.path()),
      at + ": no tokenizer that can be read: expected tokenizer.json, tokenizer.model, or vocab.json and "
           "merges.txt, found no tokenizer file");
  write_text(temporary.path() / "vocab.json", "{}");
  EXPECT_CONTAINS(error_of(temporary.path()), "found vocab.json");
  write_text(temporary.path() / "tokenizer.model", "not a model");
  EXPECT_CONTAINS(error_of(temporary.path()), "not a SentencePiece model");
  write_text(temporary.path() / "empty.model", "");
  EXPECT_CONTAINS(error_of(temporary.path() / "empty.model"), "found an empty file");
}

}  // namespace
}  // namespace regroup::tokenizer
