// The decoder: one forward pass for every family, its parts chosen by ModelConfig.
//
// Shapes: B batch, T tokens, M hidden, H query heads, K key/value heads, D head_dim, V vocabulary.
#pragma once

#include <ATen/ATen.h>

#include <map>
#include <utility>
#include <vector>

#include "core/family/model_directory.h"
#include "core/model/mlp.h"
#include "core/model/positions.h"

namespace regroup::model {

// Weights by the part they play; layer -1 is "not in a layer".
using WeightKey = std::pair<family::Part, std::int64_t>;
using Weights = std::map<WeightKey, at::Tensor>;

// Reads every weight of a model as `dtype` on `device`, one tensor at a time. UserError naming the tensor
// that holds a NaN or an infinity. A tied model has no kLmHead; buffers are left out.
Weights load_weights(const family::ModelDirectory& model, at::ScalarType dtype, at::Device device);

// Keys and values of the tokens seen so far, [B, K, capacity, D] a layer: never expanded to query heads. No
// gradients flow through it.
class KvCache {
 public:
  KvCache(const family::ModelConfig& config, std::int64_t batch, std::int64_t capacity,
          at::TensorOptions options);
  std::int64_t length() const { return length_; }
  std::int64_t capacity() const { return capacity_; }

 private:
  friend class Decoder;
  // Takes the keys and values of T new tokens of a layer; those of all its tokens, [B, K, length + T, D].
  // The length grows once all layers have theirs.
  std::pair<at::Tensor, at::Tensor> extend(std::int64_t layer, const at::Tensor& k_BKTD,
                                           const at::Tensor& v_BKTD);

  std::vector<at::Tensor> keys_BKCD_, values_BKCD_;
  std::int64_t length_ = 0, capacity_ = 0;
};

class Decoder {
 public:
  // Computes in the weights' dtype; norms, softmax and angles in at least float32. Gradients flow to the
  // weights that require them.
  // A part that the configuration asks for and `weights` lacks is a failed check() when it is needed.
  Decoder(const family::ModelConfig& config, Weights weights);

  // Last hidden states after the final norm, [B, T, M]. `tokens_BT` are int64 ids; with a cache they follow
  // the tokens already in it, and the cache takes theirs.
  at::Tensor hidden_states(const at::Tensor& tokens_BT, KvCache* cache = nullptr) const;
  at::Tensor logits(const at::Tensor& hidden) const;  // [..., M] -> [..., V]

  const family::ModelConfig& config() const { return config_; }
  const Weights& weights() const { return weights_; }
  const at::Tensor& output_projection() const;  // [V, M]: the head, or the embedding it is tied to

 private:
  const at::Tensor& weight(family::Part part, std::int64_t layer = -1) const;
  Linear linear(family::Part weight_part, family::Part bias_part, std::int64_t layer) const;
  at::Tensor norm(family::Part part, std::int64_t layer, const at::Tensor& x_BTM) const;
  at::Tensor attention(std::int64_t layer, const at::Tensor& x_BTM, const Rotation& rotation,
                       KvCache* cache) const;
  at::Tensor mlp(std::int64_t layer, const at::Tensor& x_BTM) const;

  family::ModelConfig config_;
  Weights weights_;
  at::Tensor rope_frequencies_C_;
};

}  // namespace regroup::model
