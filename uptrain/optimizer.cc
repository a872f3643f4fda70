#include "uptrain/optimizer.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "core/base/table.h"
#include "uptrain/uptrain.h"

namespace regroup::uptrain {
namespace {

constexpr std::array kOptimizers{
    Optimizer{"adamw", "AdamW for every weight", UpdateRule::kAdamW},
    Optimizer{"muon", "Muon for matrices, AdamW for embeddings, output projection, norms and biases",
              UpdateRule::kMuon},
};

}  // namespace

std::span<const Optimizer> optimizers() {
  return kOptimizers;
}

const Optimizer& optimizer(std::string_view name) {
  return row_named(kOptimizers, name, "--optimizer", "optimizer");
}

std::vector<std::string> optimizer_names() {
  return names_of(kOptimizers);
}

at::Tensor orthogonalized(const at::Tensor& matrices) {
  // x -> a x + b x³ + c x⁵ on singular values: steep at zero, and kept near one from there on.
  constexpr double a = 3.4445, b = -4.775, c = 2.0315;
  constexpr int kIterations = 5;
  const bool tall = matrices.size(-2) > matrices.size(-1);
  at::Tensor x = tall ? matrices.transpose(-2, -1) : matrices;
  x = x / at::linalg_vector_norm(x, 2, at::IntArrayRef{-2, -1}, /*keepdim=*/true).clamp_min(1e-7);
  for (int i = 0; i < kIterations; ++i) {
    const at::Tensor gram = at::matmul(x, x.transpose(-2, -1));
    x = a * x + at::matmul(b * gram + c * at::matmul(gram, gram), x);
  }
  return tall ? x.transpose(-2, -1) : x;
}

void muon_update(const OptimizerSettings& settings, const at::Tensor& gradient, at::Tensor& momentum,
                 at::Tensor& matrices) {
  momentum.lerp_(gradient, 1 - settings.momentum);
  const at::Tensor direction = orthogonalized(gradient.lerp(momentum, settings.momentum));
  const auto longer = static_cast<double>(std::max(matrices.size(-2), matrices.size(-1)));
  matrices.mul_(1 - settings.lr * settings.weight_decay)
      .sub_(direction, 0.2 * settings.lr * std::sqrt(longer));
}

}  // namespace regroup::uptrain
