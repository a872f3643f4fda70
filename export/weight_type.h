// What --dtype of export takes: a table.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "core/checkpoint/dtype.h"
#include "core/gguf/tensor_type.h"

namespace regroup::exporting {

struct WeightType {
  std::string_view name;     // as convert --dtype has it
  std::string_view summary;  // as --help has it
  gguf::TensorType type;
  std::uint32_t file_type;  // general.file_type (llama.h, llama_ftype)
};

std::span<const WeightType> weight_types();

// UserError for a name that is none of them; empty for the type closest to what weights are stored in.
const WeightType& weight_type(std::string_view name, checkpoint::DType stored);

}  // namespace regroup::exporting
