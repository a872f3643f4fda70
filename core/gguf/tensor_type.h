// How GGUF stores a tensor's elements.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace regroup::gguf {

// The numbers are ggml's.
enum class TensorType : std::uint32_t { kF32 = 0, kF16 = 1, kQ8_0 = 8, kBF16 = 30 };

std::string_view type_name(TensorType type);  // "Q8_0"

// Elements that are stored together; rows are whole blocks.
std::int64_t block_elements(TensorType type);  // 32 for Q8_0, else 1
std::uint64_t block_bytes(TensorType type);    // 34 for Q8_0: a half-precision scale, then 32 integers

// Finite values to their stored form; `values` are whole blocks, `out` exactly as large as they become.
//
// F16 and BF16 round to nearest, ties to even. Q8_0 is llama.cpp's reference (quantize_row_q8_0_ref) to the
// bit: d = max|x| / 127, each x becomes round(x * (1/d)) with halves away from zero, and d is stored rounded.
void encode(TensorType type, std::span<const float> values, std::span<std::byte> out);

// The largest magnitude that `type` holds without becoming infinite.
float largest_value(TensorType type);

}  // namespace regroup::gguf
