#include "uptrain/optimizer.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/expect_error.h"
#include "tests/support/random_model.h"
#include "uptrain/parameters.h"

namespace regroup::uptrain {
namespace {

using family::Part;
using testing::random_weights;
using testing::small_config;

at::Tensor random_matrix(at::IntArrayRef shape) {
  at::manual_seed(7);
  return at::randn(shape, at::kDouble);
}

double largest(const at::Tensor& difference) {
  return difference.abs().max().item<double>();
}

// The polynomial acts on singular values and leaves singular vectors alone: iterated on numbers, it says what
// must come out.
at::Tensor by_singular_values(const at::Tensor& matrix) {
  auto [u, s, v] = at::linalg_svd(matrix, /*full_matrices=*/false);
  s = s / s.square().sum().sqrt();
  for (int i = 0; i < 5; ++i) s = 3.4445 * s - 4.775 * s.pow(3) + 2.0315 * s.pow(5);
  return at::matmul(u * s, v);
}

TEST(Muon, OrthogonalizesWideAndTallMatrices) {
  for (const auto& [rows, columns] : {std::pair{24, 40}, {40, 24}, {32, 32}}) {
    const at::Tensor matrix = random_matrix({rows, columns}), result = orthogonalized(matrix);
    EXPECT_LT(largest(result - by_singular_values(matrix)), 1e-10) << rows << " x " << columns;
    const at::Tensor s = at::linalg_svdvals(result);
    EXPECT_LT(s.max().item<double>(), 1.3);
    EXPECT_GT(s.median().item<double>(), 0.6);
  }
}

TEST(Muon, MatricesOfExpertsAreOrthogonalizedOneByOne) {
  const at::Tensor three = random_matrix({3, 8, 12}), result = orthogonalized(three);
  for (std::int64_t i = 0; i < 3; ++i) EXPECT_LT(largest(result[i] - orthogonalized(three[i])), 1e-12);
}

TEST(Muon, AMatrixOfZerosStays) {
  EXPECT_EQ(largest(orthogonalized(at::zeros({4, 6}))), 0);
}

// torch.optim.Muon (2.13) with adjust_lr_fn="match_rms_adamw", three steps: momentum is a running mean, and
// Nesterov's look-ahead is between it and the gradient. There in bfloat16, here in the gradients' type:
// written out below.
TEST(Muon, UpdatesAsItsEquationsSay) {
  const OptimizerSettings settings{.lr = 0.03, .weight_decay = 0.2};
  at::Tensor matrix = random_matrix({6, 10}), momentum = at::zeros({6, 10}, at::kDouble);
  at::Tensor expected = matrix.clone(), mean = momentum.clone();
  for (int step = 1; step <= 3; ++step) {
    const at::Tensor gradient = random_matrix({6, 10}) * step + matrix;
    mean = 0.95 * mean + 0.05 * gradient;
    const at::Tensor direction = by_singular_values(0.05 * gradient + 0.95 * mean);
    expected = expected * (1 - 0.03 * 0.2) - 0.03 * 0.2 * std::sqrt(10.0) * direction;
    muon_update(settings, gradient, momentum, matrix);
    EXPECT_LT(largest(matrix - expected), 1e-10) << "step " << step;
  }
}

Parameters with(UpdateRule rule) {
  family::ModelConfig config = small_config();
  config.tied_embeddings = false;
  return {random_weights(config), at::kDouble,
          [rule](const model::WeightKey&) { return Treatment{.of_matrices = rule}; }};
}

TEST(Muon, IsForMatricesBetweenEmbeddingAndHead) {
  Parameters muon = with(UpdateRule::kMuon), adamw = with(UpdateRule::kAdamW);
  std::map<model::WeightKey, at::Tensor> before;
  for (const Slot& slot : muon.slots()) before[slot.key] = muon.master(slot).clone();
  for (Parameters* each : {&muon, &adamw}) {
    for (const Slot& slot : each->slots()) each->gradient(slot).copy_(before.at(slot.key).sin());
    each->update({.lr = 0.01}, 1);
  }
  std::int64_t matrices = 0;
  for (const Slot& slot : muon.slots()) {
    const auto same = std::ranges::find(adamw.slots(), slot.key, &Slot::key);
    const bool matrix = slot.shape.size() == 2 && slot.key.second >= 0;
    EXPECT_EQ(slot.rule == UpdateRule::kMuon, matrix);
    if (!matrix) {
      EXPECT_TRUE(at::equal(muon.master(slot), adamw.master(*same)));
      continue;
    }
    matrices += 1;
    at::Tensor momentum = at::zeros(slot.shape, at::kDouble), expected = before.at(slot.key).clone();
    muon_update({.lr = 0.01}, before.at(slot.key).sin(), momentum, expected);
    EXPECT_LT(largest(muon.master(slot) - expected), 1e-12);
    EXPECT_TRUE(at::equal(muon.first_moment(slot), momentum));
  }
  EXPECT_EQ(matrices, 7 * small_config().layers);
}

TEST(Optimizer, UnknownNameListsTheKnown) {
  const std::string text = testing::user_error_of([] { optimizer("sgd"); });
  EXPECT_EQ(text, "--optimizer: no such optimizer: expected adamw, muon, found sgd");
}

}  // namespace
}  // namespace regroup::uptrain
