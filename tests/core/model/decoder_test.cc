// What must hold of the decoder whatever its weights. Its numbers are compared with HF transformers in
// parity_test.cc.
#include "core/model/decoder.h"

#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "core/base/error.h"
#include "tests/support/random_model.h"

namespace regroup::model {
namespace {

using family::ModelConfig;
using family::Part;
using testing::random_tokens;
using testing::random_weights;
using testing::small_config;

double distance(const at::Tensor& a, const at::Tensor& b) {
  return (a - b).abs().max().item<double>();
}

at::Tensor run(const Decoder& decoder, const at::Tensor& tokens_BT, KvCache* cache = nullptr) {
  return decoder.logits(decoder.hidden_states(tokens_BT, cache));
}

// Tokens fed in pieces of the given lengths through a cache give what they give at once.
void expect_same_through_cache(const ModelConfig& config, const std::vector<std::int64_t>& pieces) {
  const Decoder decoder(config, random_weights(config));
  std::int64_t total = 0;
  for (const std::int64_t piece : pieces) total += piece;
  const at::Tensor tokens_BT = random_tokens(config, 3, total);
  KvCache cache(config, 3, total, at::kDouble);
  std::vector<at::Tensor> parts;
  for (const std::int64_t piece : pieces)
    parts.push_back(run(decoder, tokens_BT.narrow(1, cache.length(), piece), &cache));
  EXPECT_EQ(cache.length(), total);
  EXPECT_LT(distance(at::cat(parts, 1), run(decoder, tokens_BT)), 1e-12);
}

TEST(KvCache, GivesTheSameLogitsTokenByToken) {
  for (const std::int64_t kv_heads : {1, 2, 4})
    expect_same_through_cache(small_config(kv_heads), {5, 1, 1, 1, 1});
}

TEST(KvCache, GivesTheSameLogitsInPieces) {
  for (const std::int64_t kv_heads : {1, 2, 4})
    expect_same_through_cache(small_config(kv_heads), {1, 4, 3, 7});
}

TEST(KvCache, RefusesMoreThanItHolds) {
  const ModelConfig config = small_config();
  const Decoder decoder(config, random_weights(config));
  KvCache cache(config, 1, 4, at::kDouble);
  decoder.hidden_states(random_tokens(config, 1, 3), &cache);
  EXPECT_THROW(decoder.hidden_states(random_tokens(config, 1, 2), &cache), InternalError);
  EXPECT_EQ(cache.length(), 3);
}

TEST(Decoder, LaterTokensDoNotReachEarlierOnes) {
  const ModelConfig config = small_config();
  const Decoder decoder(config, random_weights(config));
  const at::Tensor tokens_BT = random_tokens(config, 1, 9);
  const at::Tensor before = run(decoder, tokens_BT);
  const at::Tensor changed_BT = tokens_BT.clone();
  changed_BT[0][6] = (tokens_BT[0][6] + 1) % config.vocab_size;
  const at::Tensor after = run(decoder, changed_BT);
  EXPECT_EQ(distance(before.narrow(1, 0, 6), after.narrow(1, 0, 6)), 0);
  EXPECT_GT(distance(before.narrow(1, 6, 1), after.narrow(1, 6, 1)), 1e-3);
  EXPECT_GT(distance(before.narrow(1, 8, 1), after.narrow(1, 8, 1)), 1e-6);
}

// Rows of the grouped model's key and value heads, each repeated for its group.
at::Tensor expanded(const at::Tensor& weight, const ModelConfig& grouped) {
  return weight.unflatten(0, {grouped.kv_heads, grouped.head_dim})
      .repeat_interleave(grouped.group(), 0)
      .flatten(0, 1);
}

TEST(Decoder, GroupedHeadsAreMhaWithRepeatedHeads) {
  for (const std::int64_t kv_heads : {1, 2}) {
    const ModelConfig grouped = small_config(kv_heads), mha = small_config(4);
    Weights weights = random_weights(grouped);
    const Decoder grouped_decoder(grouped, weights);
    for (std::int64_t layer = 0; layer < grouped.layers; ++layer)
      for (const Part part : {Part::kKeyWeight, Part::kValueWeight})
        weights[{part, layer}] = expanded(weights[{part, layer}], grouped);
    const at::Tensor tokens_BT = random_tokens(grouped, 2, 11);
    EXPECT_LT(distance(run(grouped_decoder, tokens_BT), run(Decoder(mha, weights), tokens_BT)), 1e-12);
  }
}

TEST(Decoder, KeepsTheWeightsType) {
  const ModelConfig config = small_config();
  for (const at::ScalarType type : {at::kBFloat16, at::kHalf, at::kFloat, at::kDouble}) {
    const Decoder decoder(config, random_weights(config, 0, type));
    const at::Tensor tokens_BT = random_tokens(config, 2, 16);
    KvCache cache(config, 2, 16, type);
    const at::Tensor logits = run(decoder, tokens_BT);
    EXPECT_EQ(logits.scalar_type(), type);
    EXPECT_EQ(run(decoder, tokens_BT, &cache).scalar_type(), type);
  }
}

TEST(Decoder, HalfTypesStayNearTheExactLogits) {
  const ModelConfig config = small_config();
  const at::Tensor tokens_BT = random_tokens(config, 2, 16);
  for (const auto& [type, tolerance] : {std::pair{at::kBFloat16, 0.05}, std::pair{at::kHalf, 0.007}}) {
    Weights rounded = random_weights(config, 0, type), exact;
    for (const auto& [key, weight] : rounded) exact[key] = weight.to(at::kDouble);
    const at::Tensor reference = run(Decoder(config, exact), tokens_BT);
    const at::Tensor logits = run(Decoder(config, rounded), tokens_BT).to(at::kDouble);
    EXPECT_LT(distance(logits, reference), tolerance * reference.abs().max().item<double>()) << type;
  }
}

// The derivative of a fixed mix of the logits along a random direction of all weights, by autograd and by a
// central difference.
TEST(Decoder, GradientsAreThoseOfFiniteDifferences) {
  ModelConfig config = small_config();
  config.attention_bias = config.mlp_bias = true;
  const at::Tensor tokens_BT = random_tokens(config, 2, 6);
  const Weights start = random_weights(config), direction = random_weights(config, 1);
  const at::Tensor mix = at::sin(at::arange(2 * 6 * config.vocab_size, at::kDouble)).view({2, 6, -1});
  const auto loss = [&](const Weights& weights) {
    return (run(Decoder(config, weights), tokens_BT) * mix).sum();
  };

  for (const auto& [key, along] : direction) {
    Weights tracked = start, ahead = start, behind = start;
    tracked[key] = start.at(key).clone().requires_grad_(true);
    const at::Tensor gradient = torch::autograd::grad({loss(tracked)}, {tracked[key]})[0];
    const double step = 1e-5;
    ahead[key] = start.at(key) + step * along;
    behind[key] = start.at(key) - step * along;
    const double slope = (loss(ahead) - loss(behind)).item<double>() / (2 * step);
    EXPECT_NEAR((gradient * along).sum().item<double>(), slope, 1e-6 * (1 + std::abs(slope)))
        << "part " << static_cast<int>(key.first) << " of layer " << key.second;
  }
}

TEST(Decoder, ATiedHeadIsTheEmbedding) {
  ModelConfig config = small_config();
  config.tied_embeddings = true;
  const Weights weights = random_weights(config);
  EXPECT_EQ(weights.count({Part::kLmHead, -1}), 0u);
  const Decoder decoder(config, weights);
  EXPECT_TRUE(decoder.output_projection().is_same(decoder.weights().at({Part::kTokenEmbedding, -1})));
}

TEST(Decoder, AMissingWeightIsABug) {
  const ModelConfig config = small_config();
  Weights weights = random_weights(config);
  weights.erase({Part::kUpWeight, 1});
  EXPECT_THROW(Decoder(config, weights).hidden_states(random_tokens(config, 1, 2)), InternalError);
}

}  // namespace
}  // namespace regroup::model
