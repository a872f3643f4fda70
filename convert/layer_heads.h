// One layer's key and value heads, read into canonical form, merged, and kept until the next layer's are
// asked for.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>

#include "convert/merge_method.h"
#include "core/family/model_directory.h"

namespace regroup::convert {

class LayerHeads {
 public:
  LayerHeads(const family::ModelDirectory& model, const MergeMethod& method, std::int64_t groups,
             std::uint64_t seed);

  // The merged tensor that takes the place of `tensor` (a key or value projection or its bias), float32, in
  // the shape it is stored in. Tensors of one layer usually follow each other in a file; where they do not,
  // the layer is merged again rather than kept.
  at::Tensor merged(const family::ModelTensor& tensor);

 private:
  void load(std::int64_t layer);

  const family::ModelDirectory& model_;
  const MergeMethod& method_;
  MergeContext context_;
  std::int64_t layer_ = -1;
  KvHeads heads_;  // of layer_, merged
};

}  // namespace regroup::convert
