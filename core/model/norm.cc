#include "core/model/norm.h"

#include "core/model/fused.h"

namespace regroup::model {

at::ScalarType accumulation_type(at::ScalarType type) {
  return type == at::kHalf || type == at::kBFloat16 ? at::kFloat : type;
}

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight_M, double epsilon) {
  if (fused::applies(x) && fused::applies(weight_M) && x.scalar_type() == weight_M.scalar_type())
    return fused::rms_norm(x, weight_M, epsilon);
  const at::Tensor wide = x.to(accumulation_type(x.scalar_type()));
  const at::Tensor mean_square = wide.square().mean(-1, /*keepdim=*/true);
  return weight_M * (wide * at::rsqrt(mean_square + epsilon)).to(x.scalar_type());
}

at::Tensor rms_norm_plus_one(const at::Tensor& x, const at::Tensor& weight_M, double epsilon) {
  const at::ScalarType type = accumulation_type(x.scalar_type());
  if (x.scalar_type() == type && fused::applies(x)) return fused::rms_norm(x, 1 + weight_M, epsilon);
  const at::Tensor wide = x.to(type);
  const at::Tensor mean_square = wide.square().mean(-1, /*keepdim=*/true);
  return (wide * at::rsqrt(mean_square + epsilon) * (1 + weight_M.to(type))).to(x.scalar_type());
}

at::Tensor layer_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, double epsilon) {
  const auto over_last = [](const at::Tensor& tensor) { return !tensor.defined() || tensor.dim() == 1; };
  if (over_last(weight) && over_last(bias)) return at::layer_norm(x, {x.size(-1)}, weight, bias, epsilon);
  at::Tensor normal = at::layer_norm(x, {x.size(-1)}, {}, {}, epsilon);
  if (weight.defined()) normal = normal * weight;
  return bias.defined() ? normal + bias : normal;
}

}  // namespace regroup::model
