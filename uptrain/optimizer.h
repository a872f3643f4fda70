// How gradients become updates: AdamW for every weight, or Muon for matrices and AdamW for the rest.
#pragma once

#include <ATen/ATen.h>

#include <span>
#include <string_view>

namespace regroup::uptrain {

enum class UpdateRule { kAdamW, kMuon };

struct Optimizer {
  std::string_view name, summary;
  UpdateRule of_matrices;  // but for embeddings and the output projection, which are AdamW's always
};

// Every optimizer, in the order --help prints them; the first is the default.
std::span<const Optimizer> optimizers();
const Optimizer& optimizer(std::string_view name);  // UserError lists the names

struct OptimizerSettings {
  double lr = 0, weight_decay = 0;
  double beta1 = 0.9, beta2 = 0.95, epsilon = 1e-8;  // AdamW
  double momentum = 0.95;                            // Muon
};

// The matrices [.., R, C] of `matrices` with all singular values drawn to about 1 (0.7 to 1.2), by five
// quintic Newton-Schulz iterations (Jordan et al. 2024, "Muon: an optimizer for hidden layers").
at::Tensor orthogonalized(const at::Tensor& matrices);

// One Muon update with Nesterov momentum of matrices [.., R, C], in place. Updates have the root mean square
// of AdamW's, 0.2 lr, whatever the shape, so that one learning rate serves both (Liu et al. 2025, 2502.16982,
// equation 4).
void muon_update(const OptimizerSettings& settings, const at::Tensor& gradient, at::Tensor& momentum,
                 at::Tensor& matrices);

}  // namespace regroup::uptrain
