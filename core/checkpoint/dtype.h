// Element types of stored tensors: the names of the safetensors format.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace regroup::checkpoint {

enum class DType {
  kBool,
  kF4,
  kF6E2M3,
  kF6E3M2,
  kU8,
  kI8,
  kF8E5M2,
  kF8E4M3,
  kF8E8M0,
  kF8E4M3Fnuz,
  kF8E5M2Fnuz,
  kI16,
  kU16,
  kF16,
  kBF16,
  kI32,
  kU32,
  kF32,
  kC64,
  kF64,
  kI64,
  kU64,
};

std::string_view dtype_name(DType dtype);  // "BF16"
std::optional<DType> dtype_from_name(std::string_view name);
int dtype_bits(DType dtype);  // 16

// What weights may be stored in: arithmetic on anything else would be a guess.
bool is_plain_float(DType dtype);  // F64, F32, F16, BF16

// "bfloat16": how config.json calls a plain float.
std::string_view config_dtype_name(DType dtype);

// False if one of the elements is NaN or infinite, which only plain floats can be.
bool all_finite(std::span<const std::byte> elements, DType dtype);

// "fp64", "fp32", "fp16" or "bf16", as flags name them. UserError naming `flag` for anything else.
DType parse_float_dtype(std::string_view text, std::string_view flag);

}  // namespace regroup::checkpoint
