#include "core/model/mlp.h"

#include "core/model/fused.h"

namespace regroup::model {

at::Tensor Linear::operator()(const at::Tensor& x) const {
  return bias.defined() ? at::linear(x, weight, bias) : at::linear(x, weight);
}

at::Tensor swiglu_mlp(const at::Tensor& x, const Linear& gate, const Linear& up, const Linear& down) {
  const at::Tensor gate_BTF = gate(x), up_BTF = up(x);
  if (fused::applies(gate_BTF) && fused::applies(up_BTF)) return down(fused::swiglu(gate_BTF, up_BTF));
  return down(at::silu(gate_BTF) * up_BTF);
}

}  // namespace regroup::model
