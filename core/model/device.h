// Devices by name, and threads.
#pragma once

#include <ATen/ATen.h>

#include <string>

#include "core/checkpoint/dtype.h"

namespace regroup::model {

// "cpu", "cuda", "cuda:1". A GPU needs a LibTorch built for it: its libraries are loaded here, at the first
// use. UserError when there is no such device, saying what this LibTorch can do.
at::Device open_device(const std::string& name);

// Bytes a model may take: free memory of the device, or what the machine and its cgroup have left.
std::uint64_t available_memory(at::Device device);

// "fp32" | "bf16" | "fp16" | "fp64"; UserError naming `flag`.
at::ScalarType parse_dtype(const std::string& name, const std::string& flag);

// Whether matrix products in bfloat16 are several times faster than in float32 there.
bool fast_in_bfloat16(at::Device device);

// What a stored weight's values are in memory. A type that open_model() refuses is a failed check().
at::ScalarType scalar_type(checkpoint::DType dtype);

}  // namespace regroup::model
