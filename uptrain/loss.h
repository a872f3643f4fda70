// Training losses, one row each. A loss owns the output projection: it sees hidden states, never a [B, T, V]
// of logits.
#pragma once

#include <ATen/ATen.h>

#include <span>
#include <string_view>

#include "core/model/decoder.h"

namespace regroup::uptrain {

struct LossInput {
  at::Tensor hidden_NM;           // the student's, one row a target
  at::Tensor projection_VM;       // the student's output projection
  at::Tensor targets_N;           // the tokens that came next
  double factor = 1;              // gradients are of factor · sum
  at::Tensor grad_projection_VM;  // takes the projection's gradient, float32
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
