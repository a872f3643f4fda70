// Training losses, one row each. A loss owns the output projection: it sees hidden states, never a [B, T, V]
// of logits.
#pragma once

#include <ATen/ATen.h>

#include <span>
#include <string_view>

#include "core/model/decoder.h"
#include "core/model/linear_cross_entropy.h"

namespace regroup::uptrain {

struct LossInput {
  at::Tensor hidden_NM;       // the student's, one row a target
  model::OutputLayer output;  // the student's, and what takes its gradients
  at::Tensor targets_N;       // the tokens that came next
  double factor = 1;          // gradients are of factor · sum
};

struct LossOutput {
  double sum = 0;  // nats over the rows
  at::Tensor grad_hidden_NM;
};

struct Loss {
  std::string_view name, summary;
  LossOutput (*evaluate)(const LossInput& input);
};

// Every loss; the first is the default.
std::span<const Loss> losses();

}  // namespace regroup::uptrain
