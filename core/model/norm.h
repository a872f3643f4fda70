// Normalization of activations.
#pragma once

#include <ATen/ATen.h>

namespace regroup::model {

// What norms, softmax and angles are computed in: float32 for the half types, else the type itself.
at::ScalarType accumulation_type(at::ScalarType type);

// RMSNorm (Zhang and Sennrich 2019) over the last dimension: x / sqrt(mean(x²) + epsilon), rounded to x's
// type and then multiplied by `weight_M`, in HF's order of operations.
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight_M, double epsilon);

// The same times 1 + weight, rounded at the end (Gemma).
at::Tensor rms_norm_plus_one(const at::Tensor& x, const at::Tensor& weight_M, double epsilon);

// LayerNorm (Ba et al. 2016) over the last dimension; an undefined weight is 1, an undefined bias 0. Weight
// and bias broadcast against x.
at::Tensor layer_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, double epsilon);

}  // namespace regroup::model
