// Normalization of activations.
#pragma once

#include <ATen/ATen.h>

namespace regroup::model {

// What norms, softmax and angles are computed in: float32 for the half types, else the type itself.
at::ScalarType accumulation_type(at::ScalarType type);

// RMSNorm (Zhang and Sennrich 2019) over the last dimension: x / sqrt(mean(x²) + epsilon), rounded to x's
// type and then multiplied by `weight_M`, in HF's order of operations.
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight_M, double epsilon);

}  // namespace regroup::model
