// The decoder: one forward pass for every family, its parts chosen by ModelConfig.
//
// Shapes: B batch, T tokens, M hidden, H query heads, K key/value heads, D head_dim, V vocabulary.
#pragma once

#include <ATen/ATen.h>

#include <map>
#include <utility>
#include <vector>

#include "core/family/model_directory.h"

namespace regroup::model {

// Weights by the part they play; layer -1 is "not in a layer".
using WeightKey = std::pair<family::Part, std::int64_t>;
using Weights = std::map<WeightKey, at::Tensor>;

// Reads every weight of a model as `dtype` on `device`, one tensor at a time. UserError naming the tensor
// that holds a NaN or an infinity. A tied model has no kLmHead; buffers are left out.
Weights load_weights(const family::ModelDirectory& model, at::ScalarType dtype, at::Device device);

// Keys and values of the tokens seen so far, [B, K, capacity, D] a layer: never expanded to query heads.
class KvCache {
 public:
  KvCache(const family::ModelConfig& config, std::int64_t batch, std::int64_t capacity,
          at::TensorOptions options);
  std::int64_t length() const { return length_; }
  std::int64_t capacity() const { return capacity_; }

 private:
  friend class Decoder;
  std::vector<at::Tensor> keys_BKCD_, values_BKCD_;
  std::int64_t length_ = 0, capacity_ = 0;
};

class Decoder {
 public:
  // Computes in the weights' dtype; norms, softmax and angles in at least float32. Gradients flow to the
  // weights that require them.
  Decoder(const family::ModelConfig& config, Weights weights);

  // Last hidden states after the final norm, [B, T, M]. `tokens_BT` are int64 ids; with a cache they follow
  // the tokens already in it, and the cache takes theirs.
  at::Tensor hidden_states(const at::Tensor& tokens_BT, KvCache* cache = nullptr) const;
  at::Tensor logits(const at::Tensor& hidden) const;  // [..., M] -> [..., V]

  const family::ModelConfig& config() const { return config_; }
  const Weights& weights() const { return weights_; }
  const at::Tensor& output_projection() const;  // [V, M]: the head, or the embedding it is tied to

 private:
  family::ModelConfig config_;
  Weights weights_;
  at::Tensor rope_frequencies_;
};

}  // namespace regroup::model
