// One layer of a decoder, in the steps that a whole forward pass takes, and that a pass which works on one
// layer at a time takes too.
//
// Shapes: B batch, T tokens, M hidden, H query heads, D head_dim.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>

#include "core/family/model_config.h"
#include "core/model/kv_cache.h"
#include "core/model/mlp.h"
#include "core/model/positions.h"
#include "core/model/weights.h"

namespace regroup::model {

class DecoderLayer {
 public:
  // Both are borrowed. A part that the configuration asks for and `weights` lacks is a failed check() when it
  // is needed.
  DecoderLayer(const family::ModelConfig& config, const Weights& weights, std::int64_t layer)
      : config_(config), weights_(weights), layer_(layer) {}

  // The residual stream after both halves of the layer.
  at::Tensor operator()(const at::Tensor& x_BTM, const Rotation& rotation, KvCache* cache = nullptr) const;

  // Its steps: what attention reads of the residual stream; what its heads make of that, [B, T, H·D]; what
  // the output projection adds to the stream; what the feed-forward half adds.
  at::Tensor attention_input(const at::Tensor& x_BTM) const;
  at::Tensor heads(const at::Tensor& input_BTM, const Rotation& rotation, KvCache* cache = nullptr) const;
  at::Tensor attention_output(const at::Tensor& heads_BTF) const;
  at::Tensor feed_forward(const at::Tensor& x_BTM) const;

 private:
  Linear linear(family::Part weight_part, family::Part bias_part) const;
  at::Tensor norm(family::Part part, const at::Tensor& x_BTM) const;

  const family::ModelConfig& config_;
  const Weights& weights_;
  std::int64_t layer_;
};

// A weight that must be there.
const at::Tensor& weight_of(const Weights& weights, family::Part part, std::int64_t layer = -1);

}  // namespace regroup::model
