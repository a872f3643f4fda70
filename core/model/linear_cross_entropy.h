// Output projection and cross-entropy in one: loss, gradient of the hidden states and gradient of the
// projection, chunk of rows by chunk of rows, so that logits of all tokens never exist together.
#pragma once

#include <ATen/ATen.h>

namespace regroup::model {

struct LinearCrossEntropy {
  double sum = 0;             // of -ln p(target) over the rows, nats
  at::Tensor grad_hidden_NM;  // of factor · sum, in the dtype of the hidden states
};

// Loss of rows hidden_NM under softmax(hidden · projectionᵀ), projection_VM, for targets_N (int64, below V).
// Adds factor · d sum / d projection to `grad_projection_VM`, which is float32 or wider. Products are taken
// in the operands' dtype; softmax and its gradient in float32 or wider. Takes no part in autograd.
LinearCrossEntropy linear_cross_entropy(const at::Tensor& hidden_NM, const at::Tensor& projection_VM,
                                        const at::Tensor& targets_N, double factor,
                                        const at::Tensor& grad_projection_VM);

}  // namespace regroup::model
