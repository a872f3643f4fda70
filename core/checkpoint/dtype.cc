#include "core/checkpoint/dtype.h"

#include <array>
#include <cstddef>
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
