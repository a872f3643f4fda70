// Weights by the part they play.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <map>
#include <span>
#include <utility>

#include "core/family/model_directory.h"

namespace regroup::model {

using WeightKey = std::pair<family::Part, std::int64_t>;  // layer -1 is "not in a layer"
using Weights = std::map<WeightKey, at::Tensor>;

// Reads every weight of a model as `dtype` on `device`, one stored tensor at a time. UserError naming the
// tensor that holds a NaN or an infinity. A tied model has no kLmHead; buffers are left out. What a layer has
// many of (experts, norms of single heads) is stacked along a new first dimension.
Weights load_weights(const family::ModelDirectory& model, at::ScalarType dtype, at::Device device);

// The same for one layer, or those parts of it that are asked for, for what embeds tokens, and for what makes
// logits of the last layer's stream.
Weights load_layer(const family::ModelDirectory& model, std::int64_t layer, at::ScalarType dtype,
                   at::Device device);
Weights load_parts(const family::ModelDirectory& model, std::int64_t layer,
                   std::span<const family::Part> parts, at::ScalarType dtype);
Weights load_embedding(const family::ModelDirectory& model, at::ScalarType dtype, at::Device device);
Weights load_head(const family::ModelDirectory& model, at::ScalarType dtype, at::Device device);

}  // namespace regroup::model
