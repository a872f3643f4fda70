#include "core/model/recompute.h"

#include <gtest/gtest.h>

#include "core/model/decoder.h"
#include "tests/support/random_model.h"

namespace regroup::model {
namespace {

using testing::random_tokens;
using testing::random_weights;
using testing::small_config;

// Gradients of every weight that the last hidden states depend on.
Weights gradients(const Weights& weights, bool recompute, const DocumentPieces* documents = nullptr) {
  const family::ModelConfig config = small_config();
  const at::Tensor tokens_BT = random_tokens(config, 2, 9);
  Weights leaves;
  for (const auto& [key, weight] : weights)
    leaves[key] = weight.detach().clone().set_requires_grad(weight.requires_grad());
  const Decoder decoder(config, leaves);
  const RecomputeGuard guard(recompute);
  decoder.hidden_states(tokens_BT, nullptr, documents).sin().sum().backward();
  Weights result;
  for (const auto& [key, leaf] : leaves)
    if (leaf.grad().defined()) result[key] = leaf.grad();
  return result;
}

Weights trainable(const std::function<bool(const WeightKey&)>& trained) {
  Weights weights = random_weights(small_config(), 3, at::kFloat);
  for (auto& [key, weight] : weights) weight.set_requires_grad(trained(key));
  return weights;
}

void expect_same(const Weights& a, const Weights& b) {
  ASSERT_EQ(a.size(), b.size());
  for (const auto& [key, gradient] : a)
    EXPECT_TRUE(at::equal(gradient, b.at(key))) << static_cast<int>(key.first);
}

TEST(Recompute, GradientsAreTheSameToTheBit) {
  const Weights all = trainable([](const WeightKey&) { return true; });
  const Weights kept = gradients(all, false);
  EXPECT_EQ(kept.size(), all.size() - 1);  // no head among them
  expect_same(kept, gradients(all, true));
  const DocumentPieces documents{{3, 6}, {9}};
  expect_same(gradients(all, false, &documents), gradients(all, true, &documents));
}

TEST(Recompute, WeightsOfOneLayerAloneAreReached) {
  for (const std::int64_t layer : {0, 1}) {
    const Weights some = trainable([layer](const WeightKey& key) { return key.second == layer; });
    const Weights kept = gradients(some, false);
    EXPECT_EQ(kept.size(), 9) << "layer " << layer;
    expect_same(kept, gradients(some, true));
  }
}

TEST(Recompute, ALayerRunsTwiceAndKeepsItsInputAlone) {
  const at::Tensor weight = at::ones({4}).set_requires_grad(true), x = at::ones({4}).set_requires_grad(true);
  int runs = 0;
  const LayerFunction layer = [&](const at::Tensor& input) {
    runs += 1;
    return (input * weight).exp();
  };
  const at::Tensor y = recomputed(layer, x);
  EXPECT_EQ(runs, 1);
  y.sum().backward();
  EXPECT_EQ(runs, 2);
  EXPECT_TRUE(at::allclose(x.grad(), at::full({4}, std::exp(1.0))));
  EXPECT_TRUE(at::allclose(weight.grad(), at::full({4}, std::exp(1.0))));
}

TEST(Recompute, IsAModeThatEndsWithItsGuard) {
  EXPECT_FALSE(recomputing());
  {
    const RecomputeGuard guard(true);
    EXPECT_TRUE(recomputing());
    const at::NoGradGuard no_grad;
    EXPECT_FALSE(recomputing());
  }
  EXPECT_FALSE(recomputing());
}

}  // namespace
}  // namespace regroup::model
