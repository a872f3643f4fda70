#include "core/model/mlp.h"

namespace regroup::model {

at::Tensor Linear::operator()(const at::Tensor& x) const {
  return bias.defined() ? at::linear(x, weight, bias) : at::linear(x, weight);
}

at::Tensor swiglu_mlp(const at::Tensor& x, const Linear& gate, const Linear& up, const Linear& down) {
  return down(at::silu(gate(x)) * up(x));
}

}  // namespace regroup::model
