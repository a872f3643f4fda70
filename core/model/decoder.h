// The decoder: one forward pass for every family, its parts chosen by ModelConfig.
//
// Shapes: B batch, T tokens, M hidden, V vocabulary.
#pragma once

#include <ATen/ATen.h>

#include "core/model/decoder_layer.h"

namespace regroup::model {

class Decoder {
 public:
  // Computes in the weights' dtype; norms, softmax and angles in at least float32. Gradients flow to the
  // weights that require them.
  // A part that the configuration asks for and `weights` lacks is a failed check() when it is needed.
  Decoder(const family::ModelConfig& config, Weights weights);

  // Last hidden states after the final norm, times the scale of the logits, [B, T, M]. `tokens_BT` are int64
  // ids; with a cache they follow the tokens already in it, and the cache takes theirs. With `documents`,
  // which exclude a cache, those of every document are what it has when run alone (core/model/documents.h).
  at::Tensor hidden_states(const at::Tensor& tokens_BT, KvCache* cache = nullptr,
                           const DocumentPieces* documents = nullptr) const;
  // The last of these steps, for the residual stream after the last layer.
  at::Tensor final_states(const at::Tensor& x_BTM) const;
  at::Tensor logits(const at::Tensor& hidden) const;  // [..., M] -> [..., V]

  const family::ModelConfig& config() const { return config_; }
  const Weights& weights() const { return weights_; }
  const at::Tensor& output_projection() const;  // [V, M]: the head, or the embedding it is tied to
  at::Tensor output_bias() const;               // [V]; undefined: none

 private:
  family::ModelConfig config_;
  Weights weights_;
};

// The residual stream that the first layer reads, [B, T, M], of tokens at positions from `first` on, or, with
// `documents`, at positions that start again at each.
at::Tensor embedded(const family::ModelConfig& config, const Weights& weights, const at::Tensor& tokens_BT,
                    std::int64_t first = 0, const DocumentPieces* documents = nullptr);

// The rotation of positions [first, first + count) in the type that layers take with such a stream.
Rotation rotation_for(const family::ModelConfig& config, const at::Tensor& stream, std::int64_t first,
                      std::int64_t count);

}  // namespace regroup::model
