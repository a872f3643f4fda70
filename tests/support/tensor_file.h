// Tensors from and to safetensors files: goldens, and what oracles exchange with our programs.
#pragma once

#include <ATen/ATen.h>

#include <filesystem>
#include <map>
#include <string>

namespace regroup::testing {

using NamedTensors = std::map<std::string, at::Tensor>;

// Of the types F64, F32 and I64.
NamedTensors read_tensor_file(const std::filesystem::path& path);
void write_tensor_file(const std::filesystem::path& path, const NamedTensors& tensors);

}  // namespace regroup::testing
