#include "core/checkpoint/dtype.h"

#include <array>
#include <cstddef>
#include <cstring>
#include <string>
#include <utility>

#include "core/base/error.h"

namespace regroup::checkpoint {
namespace {

struct Row {
  std::string_view name;
  int bits;
};

// In the order of the enumeration, which is the format's own.
constexpr std::array kRows = {
    Row{"BOOL", 8},        Row{"F4", 4},      Row{"F6_E2M3", 6}, Row{"F6_E3M2", 6}, Row{"U8", 8},
    Row{"I8", 8},          Row{"F8_E5M2", 8}, Row{"F8_E4M3", 8}, Row{"F8_E8M0", 8}, Row{"F8_E4M3FNUZ", 8},
    Row{"F8_E5M2FNUZ", 8}, Row{"I16", 16},    Row{"U16", 16},    Row{"F16", 16},    Row{"BF16", 16},
    Row{"I32", 32},        Row{"U32", 32},    Row{"F32", 32},    Row{"C64", 64},    Row{"F64", 64},
    Row{"I64", 64},        Row{"U64", 64},
};
static_assert(kRows.size() == static_cast<std::size_t>(DType::kU64) + 1);

const Row& row(DType dtype) {
  return kRows[static_cast<std::size_t>(dtype)];
}

// NaN and infinity are what has all bits of `exponent`. Without a branch, so that the loop becomes vectors.
template <typename Bits>
bool all_finite(std::span<const std::byte> elements, Bits exponent) {
  Bits found = 0;
  for (std::size_t i = 0; i + sizeof(Bits) <= elements.size(); i += sizeof(Bits)) {
    Bits value;
    std::memcpy(&value, elements.data() + i, sizeof(Bits));
    found |= static_cast<Bits>((value & exponent) == exponent);
  }
  return found == 0;
}

}  // namespace

std::string_view dtype_name(DType dtype) {
  return row(dtype).name;
}

std::optional<DType> dtype_from_name(std::string_view name) {
  for (std::size_t i = 0; i < kRows.size(); ++i)
    if (kRows[i].name == name) return static_cast<DType>(i);
  return std::nullopt;
}

int dtype_bits(DType dtype) {
  return row(dtype).bits;
}

bool is_plain_float(DType dtype) {
  return dtype == DType::kF64 || dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16;
}

std::string_view config_dtype_name(DType dtype) {
  check(is_plain_float(dtype), "weights are plain floats");
  return dtype == DType::kF64   ? "float64"
         : dtype == DType::kF32 ? "float32"
         : dtype == DType::kF16 ? "float16"
                                : "bfloat16";
}

bool all_finite(std::span<const std::byte> elements, DType dtype) {
  switch (dtype) {
    case DType::kF64:
      return all_finite<std::uint64_t>(elements, 0x7ff0000000000000u);
    case DType::kF32:
      return all_finite<std::uint32_t>(elements, 0x7f800000u);
    case DType::kF16:
      return all_finite<std::uint16_t>(elements, 0x7c00u);
    case DType::kBF16:
      return all_finite<std::uint16_t>(elements, 0x7f80u);
    default:
      return true;
  }
}

DType parse_float_dtype(std::string_view text, std::string_view flag) {
  constexpr std::array<std::pair<std::string_view, DType>, 4> known = {
      {{"fp64", DType::kF64}, {"fp32", DType::kF32}, {"fp16", DType::kF16}, {"bf16", DType::kBF16}}};
  for (const auto& [name, dtype] : known)
    if (text == name) return dtype;
  throw UserError({.where = std::string(flag),
                   .expected = "one of fp64, fp32, fp16, bf16",
                   .found = "'" + std::string(text) + "'"});
}

}  // namespace regroup::checkpoint
