// One layer of a decoder, in the steps that a whole forward pass takes, and that a pass which works on one
// layer at a time takes too.
//
// Shapes: B batch, T tokens, M hidden, H query heads, D head_dim.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>

#include "core/family/model_config.h"
#include "core/model/documents.h"
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

  // The residual stream after both halves of the layer. With `documents`, which exclude a cache, no token
  // attends to another document than its own.
  at::Tensor operator()(const at::Tensor& x_BTM, const Rotation& rotation, KvCache* cache = nullptr,
                        const DocumentPieces* documents = nullptr) const;

  // Its steps: what attention reads of the residual stream; what its heads make of that, [B, T, H·D]; what
  // the output projection makes of those; the stream after the layer, given that.
  at::Tensor attention_input(const at::Tensor& x_BTM) const;
  at::Tensor heads(const at::Tensor& input_BTM, const Rotation& rotation, KvCache* cache = nullptr,
                   const DocumentPieces* documents = nullptr) const;
  at::Tensor attention_output(const at::Tensor& heads_BTF) const;
  at::Tensor after(const at::Tensor& x_BTM, const at::Tensor& attention_BTM) const;

 private:
  at::Tensor find(family::Part part) const;  // undefined where there is none
  Linear linear(family::Part weight_part, family::Part bias_part) const;
  at::Tensor norm(family::Part part, family::Part bias_part, const at::Tensor& x_BTM) const;
  // [B, H or K, T, D]
  at::Tensor split_heads(const at::Tensor& projected_BTF, family::Part norm_part,
                         family::Part norm_bias_part) const;
  at::Tensor feed_forward(const at::Tensor& input_BTM) const;

  const family::ModelConfig& config_;
  const Weights& weights_;
  std::int64_t layer_;
};

// The norm of residual streams that a configuration asks for; undefined weight and bias: it has none.
at::Tensor stream_norm(const family::ModelConfig& config, const at::Tensor& x_BTM, const at::Tensor& weight_M,
                       const at::Tensor& bias_M);

// A weight that must be there.
const at::Tensor& weight_of(const Weights& weights, family::Part part, std::int64_t layer = -1);

}  // namespace regroup::model
