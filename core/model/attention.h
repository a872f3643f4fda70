// Grouped-query attention (Ainslie et al. 2023): query head h attends with key/value head h / (H/K). K = H is
// multi-head attention, K = 1 multi-query attention.
//
// Shapes: B batch, H query heads, K key/value heads, T new tokens, S tokens attended to, D head_dim.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>

#include "core/family/model_config.h"

namespace regroup::model {

// What scores go through before the softmax, of one layer.
struct ScoreRule {
  double scale = 1;         // scores are multiplied by it
  std::int64_t window = 0;  // tokens looked back on, itself included; 0: all
  at::Tensor slopes_H;      // ALiBi: slope · (key position) is added; undefined: nothing is
  bool bfloat16_slopes = false;
  double slope_scale = 1;  // of what is added, after its rounding
};

ScoreRule score_rule(const family::ModelConfig& config, std::int64_t layer);

// Over a whole sequence: every token attends to itself and those before it. Differentiable.
at::Tensor causal_attention(const at::Tensor& q_BHTD, const at::Tensor& k_BKTD, const at::Tensor& v_BKTD,
                            const ScoreRule& rule);

// Of the last T of S tokens, whose keys and values stand in a cache: token t sees the first S - T + t + 1.
// All query heads of a group share one read of its keys and values, which are never expanded.
at::Tensor cached_attention(const at::Tensor& q_BHTD, const at::Tensor& k_BKSD, const at::Tensor& v_BKSD,
                            const ScoreRule& rule);

}  // namespace regroup::model
