// The two 16-bit floats of machine learning, to and from float32: IEEE binary16 and bfloat16. Rounding is to
// nearest, ties to even, as processors and PyTorch do it; a NaN stays a NaN.
#pragma once

#include <cstdint>

namespace regroup {

float half_to_float(std::uint16_t half);
std::uint16_t float_to_half(float value);  // infinity beyond 65504 (and what rounds to it)

float bfloat16_to_float(std::uint16_t bfloat16);
std::uint16_t float_to_bfloat16(float value);

}  // namespace regroup
