// Grouped-query attention (Ainslie et al. 2023): query head h attends with key/value head h / (H/K). K = H is
// multi-head attention, K = 1 multi-query attention. Scores are scaled by D^-1/2.
//
// Shapes: B batch, H query heads, K key/value heads, T new tokens, S tokens attended to, D head_dim.
#pragma once

#include <ATen/ATen.h>

namespace regroup::model {

// Over a whole sequence: every token attends to itself and those before it. Differentiable.
at::Tensor causal_attention(const at::Tensor& q_BHTD, const at::Tensor& k_BKTD, const at::Tensor& v_BKTD);

// Of the last T of S tokens, whose keys and values stand in a cache: token t sees the first S - T + t + 1.
// All query heads of a group share one read of its keys and values, which are never expanded.
at::Tensor cached_attention(const at::Tensor& q_BHTD, const at::Tensor& k_BKSD, const at::Tensor& v_BKSD);

}  // namespace regroup::model
