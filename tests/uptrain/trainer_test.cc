// When a run validates, saves and stops, whatever program it is in.
#include "uptrain/trainer.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <limits>

#include "tests/support/expect_error.h"
#include "tests/support/random_model.h"
#include "tests/support/temp_dir.h"
#include "uptrain/validation.h"

namespace regroup::uptrain {
namespace {

using testing::random_weights;
using testing::small_config;
using testing::TempDir;

data::TokenStream stream_of(std::vector<data::Token> tokens) {
  data::TokenStream stream;
  stream.tokens = std::move(tokens);
  stream.document_starts = {0};
  return stream;
}

// A small model that learns tokens 1 to 6, and what it saves.
class Trainer : public ::testing::Test {
 protected:
  static constexpr std::int64_t kLength = 8;
  static constexpr data::Token kNeverTrained = 40;

  Trainer() {
    at::set_num_threads(1);
    for (int i = 0; i < 200; ++i) train_.tokens.push_back(1 + i % 6);
    options_.loss = "cross-entropy";
    recipe_.steps = 6;
    recipe_.sequence_length = kLength;
    recipe_.batch = recipe_.micro_batch = 2;
    recipe_.lr = 1e-3;
    recipe_.save_every = 100;
    recipe_.validate_every = 2;
  }

  bool train() {
    Parameters parameters(std::move(weights_), at::kFloat);
    const model::Decoder student(config_, parameters.compute());
    const data::TrainingWindows windows(train_, {.length = kLength});
    MetricsFile metrics(folder_ / "metrics.jsonl", state_.step);
    const uptrain::Run run{.options = options_,
                           .recipe = recipe_,
                           .train = train_,
                           .windows = windows,
                           .valid = &valid_,
                           .valid_windows = validation_windows(valid_, windows.rule(), kLength),
                           .student = student,
                           .parameters = parameters,
                           .device = at::kCPU,
                           .peak_flops = 1e9,
                           .started = started_,
                           .save = [this](const RunState& state) { saved_.push_back(state.step); }};
    return uptrain::train(run, state_, metrics);
  }

  const TempDir folder_;
  const family::ModelConfig config_ = small_config();
  model::Weights weights_ = random_weights(config_, 0, at::kFloat);
  UptrainOptions options_;
  Recipe recipe_;
  data::TokenStream train_ = stream_of({}), valid_ = stream_of({1, 2, 3, 4, 5, 6, 1, 2, 3});
  RunState state_;
  std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
  std::vector<std::int64_t> saved_;
};

TEST_F(Trainer, WhatCameBeforeTheFirstStepCountsForTheTimeLimit) {
  options_.time_limit = 30;
  started_ -= std::chrono::hours(1);
  EXPECT_FALSE(train());
  EXPECT_EQ(saved_, std::vector<std::int64_t>{1});
}

TEST_F(Trainer, AValidationThatIsTheBestSoFarSavesItsState) {
  recipe_.lr = 1e-2;
  EXPECT_TRUE(train());
  EXPECT_EQ(saved_, (std::vector<std::int64_t>{2, 4, 6})) << "every validation is better than the last";
  EXPECT_EQ(state_.least_validation_loss, state_.last_validation_loss);
}

TEST_F(Trainer, AValidationThatIsNotTheBestSavesNothing) {
  state_.step = 1;
  state_.least_validation_loss = 0;
  EXPECT_TRUE(train());
  EXPECT_EQ(saved_, std::vector<std::int64_t>{6}) << "the last step's";
}

TEST_F(Trainer, HeldOutDocumentsThatMustNotSeeEachOtherDoNot) {
  valid_.document_starts = {0, 4, 5};  // of 4 tokens, 1 and 4
  const auto windows = [&](const char* rule) {
    return validation_windows(valid_, data::document_rule(rule), 2);
  };
  using data::Window;
  EXPECT_EQ(windows("joined"), (std::vector<Window>{{0, 2}, {2, 2}, {4, 2}, {6, 2}}));
  EXPECT_EQ(windows("apart"), (std::vector<Window>{{0, 2}, {2, 1}, {5, 2}, {7, 1}}));
  EXPECT_EQ(windows("masked"), windows("apart"));
}

TEST_F(Trainer, AModelThatCannotBeMeasuredIsSavedFirst) {
  valid_.tokens.push_back(kNeverTrained);
  valid_.tokens.push_back(1);
  weights_.at({family::Part::kTokenEmbedding, -1})[kNeverTrained].fill_(
      std::numeric_limits<float>::infinity());
  state_.step = 1;
  const std::string text = testing::user_error_of([&] { train(); });
  EXPECT_CONTAINS(text,
                  "validation after step 2: the loss of a held-out token is not finite; the state is saved");
  EXPECT_CONTAINS(text, "--precision fp32");
  EXPECT_EQ(saved_, std::vector<std::int64_t>{2});
  EXPECT_FALSE(state_.last_validation_loss);
  EXPECT_CONTAINS(read_text(folder_ / "metrics.jsonl"), "\"step\":2,");
}

TEST_F(Trainer, AModelThatCannotBeMeasuredIsNotTrained) {
  valid_.tokens.push_back(kNeverTrained);
  valid_.tokens.push_back(1);
  weights_.at({family::Part::kTokenEmbedding, -1})[kNeverTrained].fill_(
      std::numeric_limits<float>::infinity());
  EXPECT_CONTAINS(testing::user_error_of([&] { train(); }), "validation before the first step");
  EXPECT_EQ(state_.step, 0);
}

}  // namespace
}  // namespace regroup::uptrain
