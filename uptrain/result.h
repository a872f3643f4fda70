// The finished model: weights in the layout of the source's files, its other files, and where it comes from.
#pragma once

#include <filesystem>
#include <string>

#include "core/base/json.h"
#include "core/family/model_directory.h"
#include "uptrain/parameters.h"
#include "uptrain/state.h"

namespace regroup::uptrain {

// Names of the weights in the model's files, by the part they play.
WeightNames weight_names(const family::ModelDirectory& model, const model::Weights& weights);

// Element type of the finished weights: `dtype` ("fp32", "bf16", "fp16") or, if empty, none: each tensor
// keeps the source's. UserError naming --dtype.
std::optional<checkpoint::DType> result_dtype(const std::string& dtype);

// Bytes of the finished weights.
double result_bytes(const family::ModelDirectory& model, std::optional<checkpoint::DType> dtype);

// Writes all of it but regroup.json into `directory`, which is empty: the same tensors in files of the same
// names as the source has, buffers and other files byte for byte, config.json with `dtype` if one was asked
// for, and a training_record.json that tells the source's training from this one's. UserError naming a weight
// that is not finite in the type it is stored in.
void write_result(const std::filesystem::path& directory, const family::ModelDirectory& model,
                  const Parameters& parameters, std::optional<checkpoint::DType> dtype, std::int64_t tokens);

}  // namespace regroup::uptrain
