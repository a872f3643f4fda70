// Output projection and loss in one: loss, gradient of the hidden states and gradient of the projection,
// chunk of rows by chunk of rows, so that logits of all tokens never exist together.
//
// Shapes: N rows, one a target; M hidden; V vocabulary. Products are taken in the operands' dtype; softmax
// and its gradient in float32 or wider. Nothing here takes part in autograd.
#pragma once

#include <ATen/ATen.h>

namespace regroup::model {

// Logits are hidden · projectionᵀ + bias; an undefined bias is none.
struct OutputLayer {
  at::Tensor projection_VM, bias_V;
  // Where gradients are added, float32 or wider; undefined: the layer is not trained.
  at::Tensor grad_projection_VM = {}, grad_bias_V = {};
};

// Of the rows whose target is not negative.
struct OutputLoss {
  double cross_entropy = 0;   // sum of -ln q(target), nats
  double divergence = 0;      // sum of KL(teacher ‖ student) at the temperature, nats; 0 without a teacher
  at::Tensor grad_hidden_NM;  // of what is minimised, in the dtype of the hidden states
};

// Minimises factor · Σ -ln q(target), where q = softmax(logits). Rows with a negative target count for
// nothing.
OutputLoss cross_entropy_loss(const at::Tensor& hidden_NM, const OutputLayer& output,
                              const at::Tensor& targets_N, double factor);

struct Teacher {
  at::Tensor hidden_NM;  // one row for each of the student's
  OutputLayer output;    // [V, M] of its own width
};

struct Distillation {
  double temperature = 1;          // of both softmaxes
  double cross_entropy_share = 0;  // w below
};

// Minimises factor · Σ [(1 - w) τ² KL(p ‖ q) + w (-ln softmax(logits)[target])], p and q the teacher's and
// the student's softmax at temperature τ (Hinton et al. 2015, section 2: τ² keeps gradients of one size).
OutputLoss distillation_loss(const at::Tensor& hidden_NM, const OutputLayer& output, const Teacher& teacher,
                             const at::Tensor& targets_N, const Distillation& distillation, double factor);

}  // namespace regroup::model
