#include "core/model/mlp.h"

#include "core/base/error.h"
#include "core/model/fused.h"
#include "core/model/norm.h"

namespace regroup::model {

using family::Activation;

at::Tensor Linear::operator()(const at::Tensor& x) const {
  return bias.defined() ? at::linear(x, weight, bias) : at::linear(x, weight);
}

at::Tensor activate(Activation activation, const at::Tensor& x) {
  switch (activation) {
    case Activation::kSilu:
      return at::silu(x);
    case Activation::kGelu:
      return at::gelu(x);
    case Activation::kGeluTanh:
      return at::gelu(x, "tanh");
    case Activation::kRelu:
      return at::relu(x);
    case Activation::kReluSquared:
      return at::relu(x).square();
  }
  check(false, "an Activation without a function");
  return {};
}

at::Tensor gated_mlp(Activation activation, const at::Tensor& x, const Linear& gate, const Linear& up,
                     const Linear& down) {
  const at::Tensor gate_BTF = gate(x), up_BTF = up(x);
  if (activation == Activation::kSilu && fused::applies(gate_BTF) && fused::applies(up_BTF))
    return down(fused::swiglu(gate_BTF, up_BTF));
  return down(activate(activation, gate_BTF) * up_BTF);
}

at::Tensor plain_mlp(Activation activation, const at::Tensor& x, const Linear& up, const Linear& down) {
  return down(activate(activation, up(x)));
}

at::Tensor expert_mlp(const family::Experts& experts, Activation activation, const at::Tensor& x_BTM,
                      const ExpertWeights& weights) {
  const at::Tensor x_NM = x_BTM.reshape({-1, x_BTM.size(-1)});
  const at::Tensor share_NE =
      at::softmax(at::linear(x_NM, weights.router_EM).to(accumulation_type(x_NM.scalar_type())), -1);
  auto [share_NC, chosen_NC] = at::topk(share_NE, experts.chosen, -1);
  if (experts.normalized) share_NC = share_NC / share_NC.sum(-1, /*keepdim=*/true);
  share_NC = share_NC.to(x_NM.scalar_type());
  at::Tensor sum_NM = at::zeros_like(x_NM);
  for (std::int64_t expert = 0; expert < experts.count; ++expert) {
    const auto taken = at::nonzero(chosen_NC == expert);
    if (taken.size(0) == 0) continue;
    const at::Tensor rows = taken.select(1, 0), place = taken.select(1, 1);
    const at::Tensor output = gated_mlp(activation, x_NM.index_select(0, rows), {weights.gate_EFM[expert]},
                                        {weights.up_EFM[expert]}, {weights.down_EMF[expert]});
    const at::Tensor share = share_NC.index({rows, place}).unsqueeze(1);
    sum_NM = sum_NM.index_add(0, rows, output * share);
  }
  if (weights.shared_router_1M.defined()) {
    const at::Tensor shared =
        gated_mlp(activation, x_NM, weights.shared_gate, weights.shared_up, weights.shared_down);
    sum_NM = sum_NM + at::sigmoid(at::linear(x_NM, weights.shared_router_1M)) * shared;
  }
  return sum_NM.view_as(x_BTM);
}

}  // namespace regroup::model
