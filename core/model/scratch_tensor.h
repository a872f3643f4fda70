// Tensors that are too large to be held, on a disk.
#pragma once

#include <ATen/ATen.h>

#include <filesystem>
#include <optional>

namespace regroup::model {

// A tensor on the CPU: without a value in memory, or of zeros in a file without a name in `directory` that
// goes with the tensor (core/base/scratch_memory.h).
at::Tensor scratch_tensor(at::IntArrayRef shape, at::ScalarType type,
                          const std::optional<std::filesystem::path>& directory);

}  // namespace regroup::model
