#include "core/model/generate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <limits>

#include "core/model/decoder.h"
#include "core/model/sample.h"
#include "tests/support/model_files.h"
#include "tests/support/random_model.h"
#include "tests/support/temp_dir.h"

namespace regroup::model {
namespace {

namespace fs = std::filesystem;
using tokenizer::Token;
using Tokens = std::vector<Token>;

const fs::path kRoot = REGROUP_SOURCE_DIR;

Tokens with_and_without_cache(const Decoder& decoder, const Tokens& prompt, GenerateOptions options) {
  const Tokens cached = generate(decoder, prompt, std::nullopt, options);
  options.use_cache = false;
  EXPECT_EQ(generate(decoder, prompt, std::nullopt, options), cached);
  return cached;
}

Decoder load_double(const fs::path& directory) {
  const family::ModelDirectory model = family::open_model(directory);
  return Decoder(model.config, load_weights(model, at::kDouble, at::kCPU));
}

TEST(Generate, GreedyTextIsTheSameWithAndWithoutCacheOnEveryVariation) {
  int models = 0;
  for (const auto& entry : fs::directory_iterator(kRoot / "tests/goldens/llama")) {
    if (!fs::exists(entry.path() / "config.json")) continue;
    const Decoder decoder = load_double(entry.path());
    EXPECT_EQ(with_and_without_cache(decoder, {1, 7, 30}, {.max_new_tokens = 24}).size(), 24u)
        << entry.path();
    ++models;
  }
  EXPECT_GE(models, 20);
}

TEST(Generate, GreedyTextIsTheSameWithAndWithoutCacheOnATrainedModel) {
  const fs::path directory = kRoot / "../shared/models/kjv-mha";
  if (!fs::exists(directory)) GTEST_SKIP() << "there is no " << directory;
  const auto tokenizer = tokenizer::open_tokenizer(directory);
  Tokens prompt = {*tokenizer->document_start()};
  for (const Token token : tokenizer->encode("In the beginning")) prompt.push_back(token);
  const Tokens text = with_and_without_cache(load_double(directory), prompt, {.max_new_tokens = 60});
  EXPECT_EQ(text.size(), 60u);
}

TEST(Generate, SampledTextIsDeterminedByItsSeed) {
  const family::ModelConfig config = testing::small_config();
  const Decoder decoder(config, testing::random_weights(config));
  const auto sampled = [&](std::uint64_t seed) {
    return with_and_without_cache(decoder, {1}, {.max_new_tokens = 30, .temperature = 1, .seed = seed});
  };
  EXPECT_EQ(sampled(3), sampled(3));
  EXPECT_NE(sampled(3), sampled(4));
}

TEST(Generate, RowsAreContinuedTogetherAsEachWouldBeAlone) {
  const family::ModelConfig config = testing::small_config();
  const Decoder decoder(config, testing::random_weights(config));
  std::vector<Tokens> rows = {{1, 7}, {30, 2}, {9, 9}};
  const std::vector<Tokens> prompts = rows;
  std::int64_t done = 0;
  generate_rows(decoder, rows, 22, {.start = 1}, {}, 0, [&](std::int64_t tokens) { done += tokens; });
  EXPECT_EQ(done, 3 * 20);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    Tokens alone = prompts[i];
    for (const Token token : generate(decoder, prompts[i], std::nullopt, {.max_new_tokens = 20}))
      alone.push_back(token);
    EXPECT_EQ(rows[i], alone) << i;
  }
}

TEST(Generate, ARowIsDrawnFromItsOwnStream) {
  const family::ModelConfig config = testing::small_config();
  const Decoder decoder(config, testing::random_weights(config));
  const auto drawn = [&](std::size_t count, std::int64_t first, std::uint64_t seed) {
    std::vector<Tokens> rows(count, {1});
    generate_rows(decoder, rows, 24, {.start = 1}, {.temperature = 1, .seed = seed}, first);
    return rows;
  };
  const auto rows = drawn(3, 0, 5);
  EXPECT_NE(rows[0], rows[1]);
  EXPECT_NE(rows[1], rows[2]);
  EXPECT_EQ(drawn(2, 1, 5), std::vector<Tokens>(rows.begin() + 1, rows.end()));
  EXPECT_NE(drawn(3, 0, 6), rows);
}

TEST(Generate, ADocumentThatEndsIsFollowedByAnother) {
  const family::ModelConfig config = testing::small_config();
  const Decoder decoder(config, testing::random_weights(config));
  std::vector<Tokens> rows(8, {1});
  constexpr Token kEnd = 2, kStart = 41;
  generate_rows(decoder, rows, 64, {.start = kStart, .end = kEnd}, {.temperature = 2});
  int ends = 0;
  for (const Tokens& row : rows)
    for (std::size_t i = 1; i + 1 < row.size(); ++i) {
      if (row[i] != kEnd) continue;
      EXPECT_EQ(row[i + 1], kStart);
      ++ends;
    }
  EXPECT_GE(ends, 3);
}

TEST(Generate, StopsAtTheEndOfSequenceAndAtTheLastPosition) {
  const family::ModelConfig config = testing::small_config();
  const Decoder decoder(config, testing::random_weights(config));
  const Tokens all = generate(decoder, Tokens{1, 2}, std::nullopt, {.max_new_tokens = 1000});
  EXPECT_EQ(all.size(), 62u);  // 64 positions

  Tokens emitted;
  const auto first = std::ranges::find(all, all[5]);
  const Tokens until =
      generate(decoder, Tokens{1, 2}, all[5], {}, [&](Token token) { emitted.push_back(token); });
  EXPECT_EQ(until, Tokens(all.begin(), first));
  EXPECT_EQ(emitted, until);
}

TEST(Generate, RefusesWhatItCannotDo) {
  const family::ModelConfig config = testing::small_config();
  const Decoder decoder(config, testing::random_weights(config));
  const auto refusal = [&](const Tokens& prompt, const GenerateOptions& options) {
    return testing::message_of([&] { generate(decoder, prompt, std::nullopt, options); });
  };
  EXPECT_EQ(refusal({1}, {.max_new_tokens = 0}), "--max-new-tokens: expected at least 1, found 0");
  EXPECT_EQ(refusal({1}, {.temperature = -1}), "--temperature: expected 0 (greedy) or more, found -1");
  EXPECT_EQ(refusal({1}, {.top_p = 0}), "--top-p: expected above 0 and at most 1, found 0");
  EXPECT_EQ(refusal({1}, {.top_p = 1.5}), "--top-p: expected above 0 and at most 1, found 1.5");
  EXPECT_EQ(refusal({}, {}),
            "--prompt: empty, and the tokenizer has no token that a document starts with. Give some text to "
            "continue");
  EXPECT_EQ(refusal(Tokens(64, 1), {}),
            "--prompt: too long: expected fewer tokens than the model's 64 positions, found 64");
  EXPECT_EQ(refusal({1, 48}, {}),
            "--prompt: token id 48 is beyond the model's vocabulary of 48. Model and tokenizer do not belong "
            "together");
}

TEST(Generate, SaysThatATypeIsTooNarrow) {
  const family::ModelConfig config = testing::small_config();
  Weights weights = testing::random_weights(config, 0, at::kHalf);
  weights[{family::Part::kDownWeight, 1}] *= 60000;
  EXPECT_EQ(testing::message_of([&] { generate(Decoder(config, weights), Tokens{1}, std::nullopt, {}); }),
            "the model's logits are not finite. Choose a wider --dtype");
}

TEST(Sample, DrawsInProportion) {
  const std::vector<double> logits = {0, 1, -1, 3};
  std::vector<int> drawn(4);
  RandomStream stream(1, "test");
  constexpr int kDraws = 20000;
  for (int i = 0; i < kDraws; ++i) ++drawn[static_cast<std::size_t>(sample_token(logits, 2, 1, stream))];
  double total = 0;
  for (const double logit : logits) total += std::exp(logit / 2);
  for (std::size_t i = 0; i < 4; ++i) {
    const double p = std::exp(logits[i] / 2) / total;
    EXPECT_NEAR(drawn[i], kDraws * p, 4 * std::sqrt(kDraws * p * (1 - p))) << i;
  }
}

TEST(Sample, NeverDrawsWhatIsImpossible) {
  const double never = -std::numeric_limits<double>::infinity();
  RandomStream stream(1, "test");
  for (int i = 0; i < 100; ++i)
    EXPECT_EQ(sample_token(std::vector<double>{never, 0, never, never}, 1, 1, stream), 1);
}

TEST(Sample, KeepsToTheNucleus) {
  const std::vector<double> logits = {std::log(0.2), std::log(0.5), std::log(0.3)};
  RandomStream stream(1, "test");
  std::vector<int> drawn(3);
  for (int i = 0; i < 300; ++i) ++drawn[static_cast<std::size_t>(sample_token(logits, 1, 0.79, stream))];
  EXPECT_EQ(drawn[0], 0);
  EXPECT_GT(drawn[1], 0);
  EXPECT_GT(drawn[2], 0);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(sample_token(logits, 1, 0.5, stream), 1);
}

TEST(Sample, TheLikeliestIsTheFirstAmongEquals) {
  EXPECT_EQ(likeliest_token(std::vector<double>{0, 2, 2, 1}), 1);
}

class GenerateText : public ::testing::Test {
 protected:
  void SetUp() override {
    config_["vocab_size"] = 512;
    config_["max_position_embeddings"] = 32;
    tensors_ = testing::required_tensors(config_);
  }
  std::vector<std::string> pieces(const std::string& prompt, const GenerateOptions& options) {
    testing::write_model(directory_.path(), config_, tensors_);
    fs::copy_file(kRoot / "tests/goldens/tokenizer/llama.model", directory_ / "tokenizer.model",
                  fs::copy_options::overwrite_existing);
    std::vector<std::string> pieces;
    generate_text({.directory = directory_.path()}, prompt, options,
                  [&](std::string_view piece) { pieces.emplace_back(piece); });
    return pieces;
  }
  // The model then says `token` whatever it reads: the embedding is all ones, the other rows of the head
  // zeros.
  void always_say(Token token) {
    auto& head = tensors_["lm_head.weight"];
    head = testing::FileTensor::of_floats(head.shape, 0);
    const float one = 1;
    for (std::size_t i = 0; i < 8; ++i)
      std::memcpy(head.bytes.data() + (static_cast<std::size_t>(token) * 8 + i) * sizeof one, &one,
                  sizeof one);
  }

  testing::TempDir directory_;
  Json config_ = testing::tiny_llama();
  testing::FileTensors tensors_;
};

TEST_F(GenerateText, HandsOutThePromptAndThenEveryPiece) {
  const auto tokenizer = tokenizer::open_tokenizer(kRoot / "tests/goldens/tokenizer/llama.model");
  const Token the = tokenizer->encode("the").front();
  always_say(the);
  EXPECT_EQ(pieces("In", {.max_new_tokens = 3}), (std::vector<std::string>{"In", " the", " the", " the"}));
}

TEST_F(GenerateText, HoldsBackHalfACharacter) {
  const auto tokenizer = tokenizer::open_tokenizer(kRoot / "tests/goldens/tokenizer/llama.model");
  const Tokens bytes = tokenizer->encode("\xE2\x9C\x82");  // a pair of scissors, as three byte tokens
  ASSERT_GE(bytes.size(), 3u);
  always_say(bytes.back());  // a continuation byte alone never becomes a character
  const auto out = pieces("In", {.max_new_tokens = 2});
  EXPECT_EQ(out, (std::vector<std::string>{"In", "\uFFFD\uFFFD"}));
}

TEST_F(GenerateText, RefusesATokenizerOfAnotherModel) {
  config_["vocab_size"] = 5;
  tensors_ = testing::required_tensors(config_);
  const std::string message = testing::message_of([&] { pieces("In the beginning", {}); });
  EXPECT_NE(message.find("is beyond the model's vocabulary of 5. Model and tokenizer do not belong together"),
            std::string::npos)
      << message;
}

}  // namespace
}  // namespace regroup::model
