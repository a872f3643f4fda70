// Between a checkpoint's bytes and tensors in memory.
#pragma once

#include <ATen/ATen.h>

#include <cstddef>
#include <span>
#include <string>

#include "core/family/model_directory.h"

namespace regroup::model {

// The bytes of a contiguous tensor on the CPU.
std::span<const std::byte> bytes_of(const at::Tensor& tensor);
std::span<std::byte> bytes_of(at::Tensor& tensor);

// A stored tensor, whatever its values.
at::Tensor read_stored(const family::ModelDirectory& model, const family::ModelTensor& tensor);

// A stored tensor as `dtype`. UserError naming file and tensor if one of its values is NaN or infinite, or is
// beyond the range of `dtype`.
at::Tensor read_values(const family::ModelDirectory& model, const family::ModelTensor& tensor,
                       at::ScalarType dtype);

// The UserError about a stored tensor: its file, its name, and what.
[[noreturn]] void refuse_stored(const family::ModelDirectory& model, const family::ModelTensor& tensor,
                                const std::string& what, std::string remedy = {});

}  // namespace regroup::model
