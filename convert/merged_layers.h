// The merged layers of a conversion, asked for one tensor at a time by what writes them.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <functional>
#include <map>

#include "convert/layer_merge.h"
#include "core/family/model_directory.h"

namespace regroup::convert {

class MergedLayers {
 public:
  // `merge` reads and merges one layer. `config` is of the result.
  MergedLayers(const family::ModelConfig& config, std::function<MergedLayer(std::int64_t)> merge)
      : config_(config), merge_(std::move(merge)) {}

  // The tensor that takes the place of `tensor`, of an attention layer, as it will be stored.
  // Tensors of one layer usually follow each other in a file; where they do not, the layer is merged again
  // rather than kept: one is held.
  at::Tensor merged(const family::ModelTensor& tensor);

  const AttentionLayer& layer(std::int64_t layer);

  const std::map<std::int64_t, LayerRecord>& records() const { return records_; }

 private:
  family::ModelConfig config_;
  std::function<MergedLayer(std::int64_t)> merge_;
  std::int64_t layer_ = -1;
  AttentionLayer held_;  // of layer_
  std::map<std::int64_t, LayerRecord> records_;
};

// What weights alone say of a layer's inputs: they are white but for the weight and bias of the norm that
// they leave.
InputMoments moments_from_weights(const family::ModelDirectory& model, std::int64_t layer,
                                  const AttentionLayer& attention);

// Merges from weights alone: inputs are taken as white, scaled by the weight of the norm they leave.
MergedLayers merged_from_weights(const family::ModelDirectory& model, const MergeRecipe& recipe);

}  // namespace regroup::convert
