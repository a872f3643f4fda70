// What this machine can do at most: the yardstick of model FLOP utilisation.
#pragma once

#include <ATen/ATen.h>

namespace regroup::model {

// FLOP/s of square matrix products in `dtype`, the best of several within a second. Measured, because data
// sheets do not know clock rates, thread counts and neighbours.
double gemm_peak(at::ScalarType dtype, at::Device device);

}  // namespace regroup::model
