// The feed-forward half of a block.
#pragma once

#include <ATen/ATen.h>

namespace regroup::model {

// An affine map; an undefined bias is none.
struct Linear {
  at::Tensor weight, bias = {};
  at::Tensor operator()(const at::Tensor& x) const;
};

// SwiGLU (Shazeer 2020): down(silu(gate(x)) * up(x)).
at::Tensor swiglu_mlp(const at::Tensor& x, const Linear& gate, const Linear& up, const Linear& down);

}  // namespace regroup::model
