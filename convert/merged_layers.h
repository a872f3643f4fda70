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
  // `merge` reads and merges one layer.
  explicit MergedLayers(std::function<MergedLayer(std::int64_t)> merge) : merge_(std::move(merge)) {}

  // The tensor that takes the place of `tensor`, a part of an attention layer, in the shape it is stored in.
  // Tensors of one layer usually follow each other in a file; where they do not, the layer is merged again
  // rather than kept: one is held.
  at::Tensor merged(const family::ModelTensor& tensor);

  const std::map<std::int64_t, LayerRecord>& records() const { return records_; }

 private:
  std::function<MergedLayer(std::int64_t)> merge_;
  std::int64_t layer_ = -1;
  AttentionLayer held_;  // of layer_
  std::map<std::int64_t, LayerRecord> records_;
};

// Merges from weights alone: inputs are taken as white, scaled by the weight of the norm they leave.
MergedLayers merged_from_weights(const family::ModelDirectory& model, const MergeRecipe& recipe);

}  // namespace regroup::convert
