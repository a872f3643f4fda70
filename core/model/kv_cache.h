// Keys and values of the tokens seen so far.
//
// Shapes: B batch, K key/value heads, T new tokens, D head_dim.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "core/family/model_config.h"

namespace regroup::model {

// [B, K, capacity, D] a layer: never expanded to query heads. No gradients flow through it.
class KvCache {
 public:
  KvCache(const family::ModelConfig& config, std::int64_t batch, std::int64_t capacity,
          at::TensorOptions options);
  std::int64_t length() const { return length_; }
  std::int64_t capacity() const { return capacity_; }

  // Takes the keys and values of T new tokens of a layer; those of all its tokens, [B, K, length + T, D].
  std::pair<at::Tensor, at::Tensor> extend(std::int64_t layer, const at::Tensor& k_BKTD,
                                           const at::Tensor& v_BKTD);
  // Once all layers have theirs.
  void advance(std::int64_t tokens) { length_ += tokens; }

 private:
  std::vector<at::Tensor> keys_BKCD_, values_BKCD_;
  std::int64_t length_ = 0, capacity_ = 0;
};

}  // namespace regroup::model
