#include "export/weight_type.h"

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/base/table.h"

namespace regroup::exporting {
namespace {

using gguf::TensorType;

constexpr std::array kWeightTypes = {
    WeightType{"fp32", "32 bits", TensorType::kF32, 0},
    WeightType{"fp16", "16 bits, up to 65504", TensorType::kF16, 1},
    WeightType{"bf16", "16 bits with the range of 32", TensorType::kBF16, 32},
    WeightType{"q8_0", "8.5 bits: blocks of 32 integers with a scale", TensorType::kQ8_0, 7},
};

std::string_view name_for(checkpoint::DType stored) {
  if (stored == checkpoint::DType::kF16) return "fp16";
  return stored == checkpoint::DType::kBF16 ? "bf16" : "fp32";
}

}  // namespace

std::span<const WeightType> weight_types() {
  return kWeightTypes;
}

const WeightType& weight_type(std::string_view name, checkpoint::DType stored) {
  const std::string_view wanted = name.empty() ? name_for(stored) : name;
  const auto row = std::ranges::find(kWeightTypes, wanted, &WeightType::name);
  if (row != kWeightTypes.end()) return *row;
  throw UserError({.where = "--dtype",
                   .expected = "one of " + list_some(names_of(kWeightTypes)),
                   .found = std::string(name)});
}

}  // namespace regroup::exporting
