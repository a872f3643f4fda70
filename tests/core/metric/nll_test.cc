#include "core/metric/nll.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/base/error.h"
#include "core/metric/scored_rows.h"
#include "tests/support/random_model.h"

namespace regroup::metric {
namespace {

using Tokens = std::vector<std::int32_t>;

Tokens some_tokens(std::int64_t count) {
  const at::Tensor ids = testing::random_tokens(testing::small_config(), 1, count);
  Tokens tokens;
  for (std::int64_t i = 0; i < count; ++i) tokens.push_back(ids[0][i].item<std::int32_t>());
  return tokens;
}

// Windows of 16 and shorter ones at the end and in the middle; overlapping, as other conventions have them.
const std::vector<data::Window> kWindows = {{0, 16}, {16, 16}, {20, 5}, {32, 16}, {48, 3}};

// One window at a time, every logit at once.
at::Tensor plain_nll(const model::Decoder& decoder, const Tokens& tokens) {
  std::vector<at::Tensor> parts;
  for (const data::Window& window : kWindows) {
    at::Tensor ids = at::empty({window.length + 1}, at::kLong);
    for (std::int64_t i = 0; i <= window.length; ++i)
      ids[i] = static_cast<std::int64_t>(tokens[static_cast<std::size_t>(window.begin + i)]);
    const at::Tensor logits_TV =
        decoder.logits(decoder.hidden_states(ids.slice(0, 0, window.length).unsqueeze(0)))[0];
    parts.push_back(
        -logits_TV.log_softmax(1, at::kDouble).gather(1, ids.slice(0, 1).unsqueeze(1)).squeeze(1));
  }
  return at::cat(parts);
}

double max_difference(const at::Tensor& a, const at::Tensor& b) {
  return (a - b).abs().max().item<double>();
}

TEST(TokenNll, IsThatOfThePlainLogSoftmax) {
  const family::ModelConfig config = testing::small_config();
  const model::Decoder decoder(config, testing::random_weights(config));
  const Tokens tokens = some_tokens(52);
  const at::Tensor nats = token_nll(decoder, tokens, kWindows, 2);
  EXPECT_EQ(nats.scalar_type(), at::kDouble);
  EXPECT_EQ(nats.numel(), 56);
  EXPECT_LT(max_difference(nats, plain_nll(decoder, tokens)), 1e-12);
}

TEST(TokenNll, IsTakenInFloatAtLeast) {
  const family::ModelConfig config = testing::small_config();
  const Tokens tokens = some_tokens(52);
  const model::Decoder exact(config, testing::random_weights(config));
  const model::Decoder single(config, testing::random_weights(config, 0, at::kFloat));
  EXPECT_LT(max_difference(token_nll(single, tokens, kWindows, 4), token_nll(exact, tokens, kWindows, 4)),
            2e-5);
  const model::Decoder half(config, testing::random_weights(config, 0, at::kBFloat16));
  const at::Tensor of_one = token_nll(half, tokens, kWindows, 1);
  EXPECT_LT(max_difference(of_one, plain_nll(half, tokens)), 2e-5);
}

TEST(TokenNll, DoesNotDependOnTheBatch) {
  const family::ModelConfig config = testing::small_config();
  const model::Decoder decoder(config, testing::random_weights(config));
  const Tokens tokens = some_tokens(52);
  const at::Tensor one = token_nll(decoder, tokens, kWindows, 1);
  for (const std::int64_t batch : {2, 3, 100})
    EXPECT_LT(max_difference(token_nll(decoder, tokens, kWindows, batch), one), 1e-12) << batch;
}

TEST(TokenNll, IsTheSameAgainBitForBit) {
  const family::ModelConfig config = testing::small_config();
  const model::Decoder decoder(config, testing::random_weights(config, 0, at::kFloat));
  const Tokens tokens = some_tokens(52);
  EXPECT_TRUE(at::equal(token_nll(decoder, tokens, kWindows, 3), token_nll(decoder, tokens, kWindows, 3)));
}

// A head of zeros knows nothing: every token costs ln V.
TEST(TokenNll, AModelThatKnowsNothingPaysLnV) {
  const family::ModelConfig config = testing::small_config();
  model::Weights weights = testing::random_weights(config);
  weights.at({family::Part::kLmHead, -1}).zero_();
  const at::Tensor nats = token_nll(model::Decoder(config, weights), some_tokens(52), kWindows, 2);
  EXPECT_LT((nats - std::log(48.)).abs().max().item<double>(), 1e-12);
}

TEST(TokenNll, ChunksOfRowsJoinWithoutASeam) {
  family::ModelConfig config = testing::small_config();
  config.vocab_size = 1 << 16;
  ASSERT_EQ(rows_per_chunk(config.vocab_size), 16);
  const Tokens tokens = some_tokens(52);  // three windows of 16 at a time: 48 rows in three chunks
  const model::Decoder decoder(config, testing::random_weights(config));
  EXPECT_LT(max_difference(token_nll(decoder, tokens, kWindows, 8), plain_nll(decoder, tokens)), 1e-11);
}

TEST(TokenNll, TellsHowFarItIs) {
  const family::ModelConfig config = testing::small_config();
  std::int64_t scored = 0, calls = 0;
  token_nll(model::Decoder(config, testing::random_weights(config)), some_tokens(52), kWindows, 2,
            [&](std::int64_t count) { scored += count, ++calls; });
  EXPECT_EQ(scored, 56);
  EXPECT_EQ(calls, 4);  // 16 + 16, 16, 5, 3
}

TEST(TokenNll, KeepsNoGraph) {
  const family::ModelConfig config = testing::small_config();
  model::Weights weights = testing::random_weights(config);
  for (auto& [key, weight] : weights) weight.requires_grad_();
  EXPECT_FALSE(token_nll(model::Decoder(config, weights), some_tokens(52), kWindows, 2).requires_grad());
}

TEST(TokenNll, NamesTheModelAndThePositionOfWhatIsNotFinite) {
  const family::ModelConfig config = testing::small_config();
  model::Weights weights = testing::random_weights(config);
  Tokens tokens = some_tokens(52);
  for (std::int32_t& token : tokens) token %= 40;
  tokens[32] = 45;  // the only one that reads this row; first of its window
  weights.at({family::Part::kTokenEmbedding, -1})[45].fill_(std::numeric_limits<double>::quiet_NaN());
  try {
    token_nll(model::Decoder(config, weights), tokens, kWindows, 2, {}, "models/broken");
    FAIL() << "no UserError";
  } catch (const UserError& error) {
    EXPECT_TRUE(std::string_view(error.what())
                    .starts_with("models/broken: the loss of the token at position 33 of the data is nan"))
        << error.what();
  }
}

TEST(TokenNll, WindowsMustLieInTheTokens) {
  const family::ModelConfig config = testing::small_config();
  const model::Decoder decoder(config, testing::random_weights(config));
  EXPECT_THROW(token_nll(decoder, some_tokens(52), {{36, 16}}, 1), InternalError);
  EXPECT_NO_THROW(token_nll(decoder, some_tokens(53), {{36, 16}}, 1));
}

}  // namespace
}  // namespace regroup::metric
