// GGUF version 3, the file format of llama.cpp (ggml/docs/gguf.md). All numbers little-endian:
//
//   "GGUF"  u32 version  u64 tensors  u64 pairs
//   pairs:    key, u32 type, value          a string is u64 length and UTF-8; an array u32 type, u64 count,
//   values tensors:  name, u32 dimensions, u64 extent…, u32 type, u64 offset     the fastest dimension first
//   zeros up to a multiple of the alignment; from here offsets count
//   the tensors' data, each followed by zeros up to a multiple of the alignment
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "core/gguf/tensor_type.h"

namespace regroup::gguf {

inline constexpr std::uint64_t kAlignment = 32;    // the format's default: not written
inline constexpr std::size_t kMostNameBytes = 63;  // llama.cpp's: one less than the format allows

// Arrays of arrays, which the format knows and nobody uses, are left out.
using Array = std::variant<std::vector<std::uint8_t>, std::vector<std::int8_t>, std::vector<std::uint16_t>,
                           std::vector<std::int16_t>, std::vector<std::uint32_t>, std::vector<std::int32_t>,
                           std::vector<float>, std::vector<bool>, std::vector<std::string>,
                           std::vector<std::uint64_t>, std::vector<std::int64_t>, std::vector<double>>;
// In the order of the format's type numbers, 0 to 12.
using Value =
    std::variant<std::uint8_t, std::int8_t, std::uint16_t, std::int16_t, std::uint32_t, std::int32_t, float,
                 bool, std::string, Array, std::uint64_t, std::int64_t, double>;

// Keys in the order they are written; each only once.
using Metadata = std::vector<std::pair<std::string, Value>>;

struct TensorInfo {
  std::string name;
  std::vector<std::int64_t> shape;  // rows first, as everywhere here; the file has it reversed
  TensorType type = TensorType::kF32;

  std::uint64_t bytes() const;  // of its data, without the zeros behind it
};

// Bytes up to the next multiple of the alignment.
std::uint64_t padding(std::uint64_t position);

// Everything before the first tensor's data, padded. Offsets follow from the order of `tensors`.
std::string encode_header(const Metadata& metadata, std::span<const TensorInfo> tensors);

}  // namespace regroup::gguf
