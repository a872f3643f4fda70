// Sums of gradients in a wider type than they come in.
#pragma once

#include <ATen/ATen.h>

namespace regroup::model {

// sum += x, both contiguous and of one shape. bfloat16 into float32 on a CPU is one pass over memory.
void accumulate(const at::Tensor& x, const at::Tensor& sum);

}  // namespace regroup::model
