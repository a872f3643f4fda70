#include "core/metric/token_scores.h"

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/metric/nll.h"
#include "tests/support/random_model.h"

namespace regroup::metric {
namespace {

using Tokens = std::vector<std::int32_t>;

Tokens some_tokens(std::int64_t count) {
  const at::Tensor ids = testing::random_tokens(testing::small_config(), 1, count);
  const auto* begin = ids.const_data_ptr<std::int64_t>();
  return {begin, begin + count};
}

model::Decoder some_model(std::uint64_t seed, at::ScalarType dtype = at::kDouble) {
  const family::ModelConfig config = testing::small_config();
  return {config, testing::random_weights(config, seed, dtype)};
}

// Several shapes, out of order, one with context that is not scored.
const std::vector<data::Window> kWindows = {
    {.begin = 20, .length = 5}, {.begin = 0, .length = 16, .skip = 9}, {.begin = 32, .length = 16}};

// Log-probabilities at the scored tokens, window by window, every logit at once.
at::Tensor plain_log_probabilities(const model::Decoder& decoder, const Tokens& tokens) {
  std::vector<at::Tensor> parts;
  for (const data::Window& window : kWindows) {
    at::Tensor ids = at::empty({1, window.length}, at::kLong);
    for (std::int64_t i = 0; i < window.length; ++i)
      ids[0][i] = static_cast<std::int64_t>(tokens[static_cast<std::size_t>(window.begin + i)]);
    parts.push_back(decoder.logits(decoder.hidden_states(ids))[0].slice(0, window.skip).log_softmax(1));
  }
  return at::cat(parts);
}

Distributions distributions_of(const model::Decoder& decoder, const Tokens& tokens) {
  const at::Tensor& projection_VM = decoder.output_projection();
  Distributions result{at::empty({scored_tokens(kWindows), projection_VM.size(1)}, projection_VM.options()),
                       projection_VM, decoder.output_bias()};
  score_tokens(decoder, tokens, kWindows, {.batch = 2, .keep_hidden_NM = &result.hidden_NM});
  return result;
}

double largest(const at::Tensor& difference) {
  return difference.abs().max().item<double>();
}

TEST(TokenScores, AreThoseOfThePlainDistributions) {
  const model::Decoder source = some_model(1), model = some_model(2);
  const Tokens tokens = some_tokens(52);
  const Distributions reference = distributions_of(source, tokens);
  const at::Tensor p_NV = plain_log_probabilities(source, tokens);
  const at::Tensor q_NV = plain_log_probabilities(model, tokens);
  for (const std::int64_t batch : {1, 3}) {
    const TokenScores scores =
        score_tokens(model, tokens, kWindows, {.batch = batch, .reference = &reference});
    ASSERT_EQ(scores.nats_N.numel(), 5 + 7 + 16);
    EXPECT_LT(largest(scores.kl_N - (p_NV.exp() * (p_NV - q_NV)).sum(1)), 1e-12);
    EXPECT_TRUE(at::equal(scores.top_N.to(at::kLong), q_NV.argmax(1)));
    EXPECT_LT(largest(scores.nats_N - token_nll(model, tokens, kWindows, 2)), 1e-12);
    EXPECT_GT(scores.kl_N.min().item<double>(), 0);
  }
}

// Some of about one length, the longest of which fills up the others, the last of them at the tokens' end.
TEST(TokenScores, WindowsOfAnyLengthShareABatch) {
  const model::Decoder decoder = some_model(1);
  const Tokens tokens = some_tokens(52);
  const std::vector<data::Window> windows = {{.begin = 3, .length = 16, .skip = 15},
                                             {.begin = 36, .length = 15, .skip = 2},
                                             {.begin = 0, .length = 13},
                                             {.begin = 7, .length = 4, .skip = 1},
                                             {.begin = 48, .length = 3}};
  std::int64_t batches = 0;
  const TokenScores together =
      score_tokens(decoder, tokens, windows, {.batch = 8, .done = [&](std::int64_t) { ++batches; }});
  EXPECT_EQ(batches, 2);
  std::vector<at::Tensor> alone;
  for (const data::Window& window : windows)
    alone.push_back(score_tokens(decoder, tokens, {window}, {}).nats_N);
  EXPECT_LT(largest(together.nats_N - at::cat(alone)), 1e-12);
}

// A vocabulary of several of the kernel's blocks and a rest, scored in float32: against float64 from the very
// hidden states and projections, so that nothing but softmax and sums is compared.
TEST(TokenScores, SoftmaxOfFloat32IsThatOfFloat64) {
  family::ModelConfig config = testing::small_config();
  config.vocab_size = 5003;
  const Tokens tokens = some_tokens(52);
  const model::Decoder source(config, testing::random_weights(config, 1, at::kFloat)),
      model(config, testing::random_weights(config, 2, at::kFloat));
  const Distributions reference = distributions_of(source, tokens), own = distributions_of(model, tokens);
  const auto log_probabilities = [](const Distributions& of) {
    return at::linear(of.hidden_NM, of.projection_VM).to(at::kDouble).log_softmax(1);
  };
  const at::Tensor p_NV = log_probabilities(reference), q_NV = log_probabilities(own);
  const TokenScores scores = score_tokens(model, tokens, kWindows, {.batch = 2, .reference = &reference});
  const at::Tensor kl_N = (p_NV.exp() * (p_NV - q_NV)).sum(1);
  EXPECT_GT(kl_N.min().item<double>(), 1e-3);
  EXPECT_LT(largest(scores.kl_N - kl_N), 1e-6);
  EXPECT_TRUE(at::equal(scores.top_N.to(at::kLong), q_NV.argmax(1)));
  std::int64_t row = 0;
  for (const data::Window& window : kWindows)
    for (std::int64_t i = window.begin + window.skip; i < window.begin + window.length; ++i, ++row)
      EXPECT_NEAR(scores.nats_N[row].item<double>(),
                  -q_NV[row][tokens[static_cast<std::size_t>(i + 1)]].item<double>(), 1e-6);
}

TEST(TokenScores, SkipLeavesContextUnscored) {
  const model::Decoder decoder = some_model(1);
  const Tokens tokens = some_tokens(52);
  const at::Tensor whole = token_nll(decoder, tokens, {{.begin = 0, .length = 16}}, 1);
  const at::Tensor part = token_nll(decoder, tokens, {{.begin = 0, .length = 16, .skip = 9}}, 1);
  EXPECT_LT(largest(whole.slice(0, 9) - part), 1e-12);
}

TEST(TokenScores, AModelDoesNotDivergeFromItself) {
  for (const at::ScalarType dtype : {at::kDouble, at::kFloat, at::kBFloat16}) {
    const model::Decoder decoder = some_model(1, dtype);
    const Tokens tokens = some_tokens(52);
    const Distributions reference = distributions_of(decoder, tokens);
    EXPECT_EQ(largest(score_tokens(decoder, tokens, kWindows, {.batch = 2, .reference = &reference}).kl_N),
              0);
  }
}

TEST(TokenScores, WithoutAReferenceThereIsNoDivergence) {
  EXPECT_FALSE(score_tokens(some_model(1), some_tokens(52), kWindows, {}).kl_N.defined());
}

TEST(TokenScores, TheReferenceKnowsTheSameTokens) {
  const model::Decoder decoder = some_model(1);
  Distributions reference = distributions_of(decoder, some_tokens(52));
  reference.hidden_NM = reference.hidden_NM.slice(0, 1);
  EXPECT_THROW(score_tokens(decoder, some_tokens(52), kWindows, {.reference = &reference}), InternalError);
}

}  // namespace
}  // namespace regroup::metric
