// Parts of a block as single passes over memory, forward and backward, in float32 and bfloat16 on a CPU. Each
// does what the plain expression in the file of its part does (norm.cc, mlp.cc, positions.cc, decoder.cc),
// computed in float32 and rounded once. All are differentiable once.
#pragma once

#include <ATen/ATen.h>

namespace regroup::model::fused {

// Whether the functions below take `x`: float32 or bfloat16 on a CPU, its last dimension contiguous. What
// they take together has one type.
bool applies(const at::Tensor& x);

// RMSNorm over the last dimension.
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight_M, double epsilon);

// silu(gate) · up.
at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up);

// Turns the half-split pairs of heads_BHTD by float32 angles; the memory of the result is [B, T, H, D].
at::Tensor rotate(const at::Tensor& heads_BHTD, const at::Tensor& cos_TC, const at::Tensor& sin_TC);

// Rows of table_VM. The gradient of a row is summed in float32: a frequent token's would drown in bfloat16.
at::Tensor embedding(const at::Tensor& table_VM, const at::Tensor& tokens);

}  // namespace regroup::model::fused
