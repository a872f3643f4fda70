#include "uptrain/recipe.h"

#include <gtest/gtest.h>

#include "core/base/file.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"

namespace regroup::uptrain {
namespace {

using testing::TempDir;
using testing::user_error_of;

family::ModelConfig config() {
  family::ModelConfig config;
  config.vocab_size = 1000;
  config.hidden = 64;
  config.layers = 2;
  config.heads = config.kv_heads = 4;
  config.head_dim = 16;
  config.ffn = 128;
  config.max_positions = 256;
  return config;
}

UptrainOptions with_steps(std::int64_t steps) {
  UptrainOptions options;
  options.steps = steps;
  return options;
}

std::string refusal(const UptrainOptions& options, std::int64_t tokens = 100'000) {
  return user_error_of([&] { make_recipe(options, config(), tokens); });
}

TEST(Recipe, TokensAreRoundedDownToWholeSteps) {
  UptrainOptions options;
  options.tokens = 222'208;
  options.batch_tokens = 1024;
  const Recipe recipe = make_recipe(options, config(), 1'000'000);
  EXPECT_EQ(recipe.steps, 217);
  EXPECT_EQ(recipe.tokens(), 217 * 1024);
  EXPECT_EQ(recipe.batch, 4);
  EXPECT_EQ(recipe.sequence_length, 256);
}

TEST(Recipe, AFractionIsOfTheRecordedTokens) {
  const TempDir folder;
  write_text(folder / "training_record.json", R"({"pretraining_tokens": 4444160})");
  UptrainOptions options;
  options.model = folder.path();
  options.fraction = 0.05;
  options.batch_tokens = 256;
  const Recipe recipe = make_recipe(options, config(), 1'000'000);
  EXPECT_EQ(recipe.steps, 868);
  EXPECT_EQ(
      recipe.budget,
      "0.05 of 4444160 pre-training tokens = 222208 tokens: 868 whole steps x 256 tokens = 222208 tokens");
  options.pretrain_tokens = 51'200;
  EXPECT_EQ(make_recipe(options, config(), 1'000'000).steps, 10);
}

TEST(Recipe, WhatTheConversionReadIsPartOfTheFraction) {
  const TempDir folder;
  write_text(folder / "training_record.json", R"({"pretraining_tokens": 1000000})");
  write_text(
      folder / "regroup.json",
      R"({"command": "convert", "result": {"calibration": {"windows": 20, "tokens_of_a_window": 512}}})");
  UptrainOptions options;
  options.model = folder.path();
  options.fraction = 0.05;
  options.batch_tokens = 256;
  const Recipe recipe = make_recipe(options, config(), 1'000'000);
  EXPECT_EQ(recipe.steps, (50'000 - 20 * 512) / 256);
  EXPECT_CONTAINS(recipe.budget, "0.05 of 1000000 pre-training tokens - 10240 that the conversion looked at");
  options.fraction = 0.01;
  EXPECT_CONTAINS(refusal(options), "at least one step");
  options.fraction = {};
  options.tokens = 25'600;
  EXPECT_EQ(make_recipe(options, config(), 1'000'000).steps, 100) << "a budget in tokens is what it says";
}

TEST(Recipe, TheFirstStageIsAShareOfTheSteps) {
  UptrainOptions options = with_steps(10);
  EXPECT_EQ(make_recipe(options, config(), 100'000).match_steps, 0);
  options.match_fraction = 0.3;
  EXPECT_EQ(make_recipe(options, config(), 100'000).match_steps, 3);
}

TEST(Recipe, AFractionOfNothingSaysWhatToGive) {
  const TempDir folder;
  UptrainOptions options;
  options.model = folder.path();
  options.fraction = 0.05;
  EXPECT_CONTAINS(refusal(options), "Give --pretrain-tokens N, or the budget itself with --tokens N");
  write_text(folder / "training_record.json", R"({"pretraining_tokens": "many"})");
  EXPECT_CONTAINS(refusal(options), "expected a positive whole number, found \"many\"");
}

TEST(Recipe, TheBudgetIsGivenExactlyOnce) {
  EXPECT_CONTAINS(refusal({}), "give exactly one of --tokens, --steps and --fraction");
  UptrainOptions both = with_steps(3);
  both.tokens = 1000;
  EXPECT_CONTAINS(refusal(both), "give exactly one of --tokens, --steps and --fraction");
}

TEST(Recipe, WhatDoesNotFitIsRefused) {
  UptrainOptions options = with_steps(3);
  options.sequence_length = 257;
  EXPECT_CONTAINS(refusal(options), "at most the model's 256 positions");
  options.sequence_length = 100;
  options.batch_tokens = 1024;
  EXPECT_CONTAINS(refusal(options), "a multiple of the sequence length 100");
  options.batch_tokens = 0;
  options.data = {"a.txt", "b.txt"};
  EXPECT_CONTAINS(refusal(options, 100), "a.txt, b.txt: too short to train on");
  EXPECT_CONTAINS(refusal(options, 100), "at least one window of 100 tokens");
  options = UptrainOptions{};
  options.tokens = 500;
  EXPECT_CONTAINS(refusal(options), "at least one step of 1024 tokens");
}

TEST(Recipe, ValuesOutOfRangeAreRefusedByFlag) {
  const auto with = [](auto set) {
    UptrainOptions options = with_steps(3);
    set(options);
    return refusal(options);
  };
  EXPECT_CONTAINS(with([](auto& o) { o.steps = 0; }), "--steps");
  EXPECT_CONTAINS(with([](auto& o) { o.lr = -1; }), "--lr");
  EXPECT_CONTAINS(with([](auto& o) { o.warmup = 1.5; }), "--warmup");
  EXPECT_CONTAINS(with([](auto& o) { o.precision = "fp16"; }), "--precision");
  EXPECT_CONTAINS(with([](auto& o) { o.schedule = "wave"; }), "--schedule");
  EXPECT_CONTAINS(with([](auto& o) { o.weight_decay = -0.1; }), "--weight-decay");
  EXPECT_CONTAINS(with([](auto& o) { o.clip = -1; }), "--clip");
  EXPECT_CONTAINS(with([](auto& o) { o.temperature = 0; }), "--temperature");
  EXPECT_CONTAINS(with([](auto& o) { o.cross_entropy_share = 1.1; }), "--cross-entropy-share");
  EXPECT_CONTAINS(with([](auto& o) { o.match_fraction = -0.1; }), "--match-fraction");
  EXPECT_CONTAINS(with([](auto& o) { o.kv_lr_multiplier = -1; }), "--kv-lr-multiplier");
  EXPECT_CONTAINS(with([](auto& o) { o.skip_outliers = -1; }), "--skip-outliers");
  EXPECT_CONTAINS(with([](auto& o) { o.keep = 0; }), "--keep");
  EXPECT_CONTAINS(with([](auto& o) { o.time_limit = -1; }), "--time-limit");
  EXPECT_CONTAINS(with([](auto& o) { o.finish = "first"; }), "--finish: expected last or best");
  EXPECT_CONTAINS(with([](auto& o) { o.finish = "best"; }), "as --valid");
}

TEST(Recipe, LearningRateFallsWithSize) {
  family::ModelConfig small = config(), large = config();
  large.hidden = large.ffn = 4096;
  large.layers = 32;
  EXPECT_EQ(make_recipe(with_steps(3), small, 100'000).lr, 1e-3);
  EXPECT_EQ(make_recipe(with_steps(3), large, 100'000).lr, 1e-4);
  UptrainOptions given = with_steps(3);
  given.lr = 0.5;
  EXPECT_EQ(make_recipe(given, large, 100'000).lr, 0.5);
}

TEST(Recipe, AModelConvertedWithTextLearnsMoreGently) {
  const TempDir folder;
  write_text(
      folder / "regroup.json",
      R"({"command": "convert", "result": {"calibration": {"windows": 20, "tokens_of_a_window": 512}}})");
  UptrainOptions options = with_steps(3);
  options.model = folder.path();
  EXPECT_DOUBLE_EQ(make_recipe(options, config(), 100'000).lr, 3e-4);
  options.lr = 0.5;
  EXPECT_EQ(make_recipe(options, config(), 100'000).lr, 0.5);
}

// A second uptraining starts from the same conversion; the first one's budget has paid for its tokens.
TEST(Recipe, AModelThatWasUptrainedSinceIsStillOneConvertedWithText) {
  const TempDir folder;
  write_text(folder / "training_record.json", R"({"pretraining_tokens": 1000000})");
  write_text(folder / "regroup.json",
             R"({"program": "regroup uptrain", "source": {"provenance":
                {"program": "regroup uptrain", "source": {"provenance":
                {"command": "convert", "result": {"calibration": {"windows": 20, "tokens_of_a_window": 512}}}}}}})");
  UptrainOptions options;
  options.model = folder.path();
  options.fraction = 0.05;
  options.batch_tokens = 256;
  const Recipe recipe = make_recipe(options, config(), 1'000'000);
  EXPECT_DOUBLE_EQ(recipe.lr, 3e-4);
  EXPECT_EQ(recipe.steps, 50'000 / 256);
}

TEST(Recipe, TheLastConversionDecides) {
  const TempDir folder;
  write_text(folder / "regroup.json",
             R"({"command": "convert", "source": {"provenance":
                {"command": "convert", "result": {"calibration": {"windows": 20, "tokens_of_a_window": 512}}}}})");
  UptrainOptions options = with_steps(3);
  options.model = folder.path();
  EXPECT_DOUBLE_EQ(make_recipe(options, config(), 100'000).lr, 1e-3);
}

TEST(Recipe, ALongerBudgetTakesLargerSteps) {
  UptrainOptions options;
  options.tokens = 200'000;
  EXPECT_EQ(make_recipe(options, config(), 100'000).tokens_per_step(), 1024);
  options.tokens = 20'000'000;
  EXPECT_EQ(make_recipe(options, config(), 100'000).tokens_per_step(), 65'536);
}

TEST(Recipe, MicroBatchIsNoLargerThanTheBatch) {
  UptrainOptions options = with_steps(3);
  options.batch_tokens = 512;
  options.micro_batch = 100;
  EXPECT_EQ(make_recipe(options, config(), 100'000).micro_batch, 2);
}

}  // namespace
}  // namespace regroup::uptrain
