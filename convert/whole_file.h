// Tensors in a file that is there whole or not at all.
#pragma once

#include <ATen/ATen.h>

#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "core/checkpoint/dtype.h"

namespace regroup::convert {

// In safetensors' format, all of type `dtype`, on the CPU, in this order: under the name `unfinished`, where
// what a killed run has begun is overwritten, and once it is on the disk under `path`, in the same folder.
void write_whole(const std::filesystem::path& path, const std::filesystem::path& unfinished,
                 const std::vector<std::pair<std::string, at::Tensor>>& tensors, checkpoint::DType dtype,
                 const std::map<std::string, std::string>& metadata);

}  // namespace regroup::convert
