// The weights of a model as another architecture has them, asked for one tensor at a time by what writes
// them.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>

#include "convert/merged_layers.h"
#include "convert/plan.h"
#include "core/model/weights.h"

namespace regroup::convert {

class MovedWeights {
 public:
  // All are borrowed. `layers` of a conversion that merges none are not asked for.
  MovedWeights(const family::ModelDirectory& model, const Plan& plan, MergedLayers& layers)
      : model_(model), plan_(plan), layers_(layers) {}

  // The values of a tensor of the result's table, in its layout. One layer is held.
  at::Tensor values(const family::ModelTensor& tensor);

 private:
  void load(std::int64_t layer);
  at::Tensor part(family::Part part, const family::ModelTensor& tensor) const;

  const family::ModelDirectory& model_;
  const Plan& plan_;
  MergedLayers& layers_;
  std::int64_t layer_ = -2;  // none
  model::Weights weights_;   // of layer_
};

}  // namespace regroup::convert
