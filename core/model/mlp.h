// The feed-forward half of a block.
//
// Shapes: E experts, F the width inside, M hidden.
#pragma once

#include <ATen/ATen.h>

#include "core/family/model_config.h"

namespace regroup::model {

// An affine map; an undefined bias is none.
struct Linear {
  at::Tensor weight, bias = {};
  at::Tensor operator()(const at::Tensor& x) const;
};

at::Tensor activate(family::Activation activation, const at::Tensor& x);

// down(act(gate(x)) · up(x)), SwiGLU and its relatives (Shazeer 2020).
at::Tensor gated_mlp(family::Activation activation, const at::Tensor& x, const Linear& gate, const Linear& up,
                     const Linear& down);

// down(act(up(x))).
at::Tensor plain_mlp(family::Activation activation, const at::Tensor& x, const Linear& up,
                     const Linear& down);

struct ExpertWeights {
  at::Tensor router_EM, gate_EFM, up_EFM, down_EMF;
  at::Tensor shared_router_1M;  // undefined: no expert is shared
  Linear shared_gate, shared_up, shared_down;
};

// Each token through the `experts.chosen` experts that the router likes best, weighted by its softmax, and
// through the shared one, weighted by its gate (Mixtral, Qwen-MoE, OLMoE).
at::Tensor expert_mlp(const family::Experts& experts, family::Activation activation, const at::Tensor& x_BTM,
                      const ExpertWeights& weights);

}  // namespace regroup::model
