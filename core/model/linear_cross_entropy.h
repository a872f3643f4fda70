// Output projection and cross-entropy in one: loss, gradient of the hidden states and gradient of the
// projection, chunk of rows by chunk of rows, so that logits of all tokens never exist together.
#pragma once

#include <ATen/ATen.h>

namespace regroup::model {

struct LinearCrossEntropy {
  double sum = 0;             // of -ln p(target) over the rows, nats
  at::Tensor grad_hidden_NM;  // of factor · sum, in the dtype of the hidden states
};

// The output layer and where its gradients go, float32 or wider; an undefined bias is none.
struct OutputLayer {
  at::Tensor projection_VM, bias_V;
  at::Tensor grad_projection_VM, grad_bias_V;
};

// Loss of rows hidden_NM under softmax(hidden · projectionᵀ + bias) for targets_N (int64, below V). Adds
// factor · d sum / d projection to `grad_projection_VM`, and the bias's gradient to `grad_bias_V`. Products
// are taken in the operands' dtype; softmax and its gradient in float32 or wider. Takes no part in autograd.
LinearCrossEntropy linear_cross_entropy(const at::Tensor& hidden_NM, const OutputLayer& output,
                                        const at::Tensor& targets_N, double factor);

}  // namespace regroup::model
