// Rotary position embedding (Su et al. 2021, equation 34) on half-split pairs: coordinates j and j + R/2 of a
// head, R = rope.dims, are turned by the angle position · frequency_j; those from R on stay.
//
// Shapes: T positions, D head_dim, C = R/2 pairs.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>

#include "core/family/model_config.h"

namespace regroup::model {

struct Rotation {
  at::Tensor cos_TC, sin_TC;  // undefined: nothing is turned
};

// Frequencies of the pairs for a text of `length` tokens, [C], in the accumulation type of `options`.
at::Tensor rotation_frequencies(const family::ModelConfig& config, std::int64_t length,
                                at::TensorOptions options);

// The rotation of positions [first, first + count), as a text that ends there has it. Angles are computed in
// the accumulation type of `options`, as HF does in float32; the result has type `type`.
Rotation rotation_at(const family::ModelConfig& config, std::int64_t first, std::int64_t count,
                     at::TensorOptions options, at::ScalarType type);

// Turns queries or keys, [..., T, D].
at::Tensor rotate(const at::Tensor& heads, const Rotation& rotation);

}  // namespace regroup::model
