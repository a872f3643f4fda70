// Rotary position embedding (Su et al. 2021, equation 34) on half-split pairs: coordinates j and j + D/2 of a
// head are turned by the angle position · frequency_j.
//
// Shapes: T positions, D head_dim, C = D/2 pairs.
#pragma once

#include <ATen/ATen.h>

#include "core/family/model_config.h"

namespace regroup::model {

struct Rotation {
  at::Tensor cos_TC, sin_TC;
};

// Frequencies of the pairs, [C], in the accumulation type of `options`.
at::Tensor rotation_frequencies(const family::ModelConfig& config, at::TensorOptions options);

// The rotation of positions [first, first + count). Angles are computed in the frequencies' type, as HF does
// in float32; the result has type `type`.
Rotation rotation_at(const at::Tensor& frequencies_C, std::int64_t first, std::int64_t count,
                     at::ScalarType type);

// Turns queries or keys, [..., T, D].
at::Tensor rotate(const at::Tensor& heads, const Rotation& rotation);

}  // namespace regroup::model
