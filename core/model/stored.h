// Between a checkpoint's bytes and tensors in memory.
#pragma once

#include <ATen/ATen.h>

#include <cstddef>
#include <functional>
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

// Hands out the parts that a stored tensor's values are made of, each as the decoder has it (layout.h).
void for_parts(const family::ModelTensor& tensor, const family::ModelConfig& config, const at::Tensor& values,
               const std::function<void(family::Part, const at::Tensor&)>& visit);

// The inverse: the values of a stored tensor of a model of this configuration, from its parts.
at::Tensor arranged(const family::ModelTensor& tensor, const family::ModelConfig& config,
                    const std::function<at::Tensor(family::Part)>& part);

// The UserError about a stored tensor: its file, its name, and what.
[[noreturn]] void refuse_stored(const family::ModelDirectory& model, const family::ModelTensor& tensor,
                                const std::string& what, std::string remedy = {});

}  // namespace regroup::model
