#include "core/model/norm.h"

#include "core/model/fused.h"

namespace regroup::model {

at::ScalarType accumulation_type(at::ScalarType type) {
  return type == at::kHalf || type == at::kBFloat16 ? at::kFloat : type;
}

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight_M, double epsilon) {
  if (fused::applies(x) && fused::applies(weight_M)) return fused::rms_norm(x, weight_M, epsilon);
  const at::Tensor wide = x.to(accumulation_type(x.scalar_type()));
  const at::Tensor mean_square = wide.square().mean(-1, /*keepdim=*/true);
  return weight_M * (wide * at::rsqrt(mean_square + epsilon)).to(x.scalar_type());
}

}  // namespace regroup::model
