#include "core/model/weights.h"

#include <algorithm>
#include <vector>

#include "core/base/error.h"
#include "core/base/progress.h"
#include "core/model/stored.h"
#include "core/model/tied_copy.h"

namespace regroup::model {
namespace {

using family::ModelDirectory;
using family::ModelTensor;
using family::Part;

// How many a layer has of what is stored one by one.
std::int64_t items(const family::ModelConfig& config, Part part) {
  if (part == Part::kQueryNorm) return config.heads;
  if (part == Part::kKeyNorm) return config.kv_heads;
  return config.experts.count;
}

void load(const ModelDirectory& model, const ModelTensor& tensor, at::ScalarType dtype, at::Device device,
          Weights& weights) {
  if (tensor.part == Part::kUnused) return;
  if (tensor.part == Part::kLmHead && model.config.tied_embeddings) {
    check_tied_copy(model);
    return;
  }
  for_parts(tensor, model.config, read_values(model, tensor, dtype),
            [&](Part part, const at::Tensor& values) {
              at::Tensor& weight = weights[{part, tensor.layer}];
              if (tensor.item < 0) {
                weight = values.to(device);
                return;
              }
              if (!weight.defined()) {
                std::vector<std::int64_t> shape = values.sizes().vec();
                shape.insert(shape.begin(), items(model.config, part));
                weight = at::zeros(shape, values.options().device(device));
              }
              weight[tensor.item].copy_(values);
            });
}

Weights load_singles(const ModelDirectory& model, std::initializer_list<Part> parts, at::ScalarType dtype,
                     at::Device device) {
  Weights weights;
  for (const Part part : parts)
    if (const ModelTensor* tensor = model.find(part)) load(model, *tensor, dtype, device, weights);
  return weights;
}

}  // namespace

Weights load_weights(const ModelDirectory& model, at::ScalarType dtype, at::Device device) {
  Weights weights;
  Progress progress("reading " + model.path.string(), static_cast<double>(model.checkpoint.data_bytes()),
                    "B");
  for (const ModelTensor& tensor : model.tensors) {
    progress.advance(static_cast<double>(tensor.stored.info->bytes()));
    load(model, tensor, dtype, device, weights);
  }
  return weights;
}

Weights load_layer(const ModelDirectory& model, std::int64_t layer, at::ScalarType dtype, at::Device device) {
  Weights weights;
  for (const ModelTensor& tensor : model.tensors)
    if (tensor.layer == layer) load(model, tensor, dtype, device, weights);
  return weights;
}

Weights load_parts(const ModelDirectory& model, std::int64_t layer, std::span<const Part> parts,
                   at::ScalarType dtype) {
  Weights weights;
  for (const ModelTensor& tensor : model.tensors)
    if (tensor.layer == layer && std::ranges::any_of(parts, [&](Part part) { return holds(tensor, part); }))
      load(model, tensor, dtype, at::kCPU, weights);
  return weights;
}

Weights load_embedding(const ModelDirectory& model, at::ScalarType dtype, at::Device device) {
  return load_singles(
      model,
      {Part::kTokenEmbedding, Part::kPositionEmbedding, Part::kEmbeddingNorm, Part::kEmbeddingNormBias},
      dtype, device);
}

Weights load_head(const ModelDirectory& model, at::ScalarType dtype, at::Device device) {
  // A head that is tied all the same is a copy: looked at, not kept.
  Weights weights = load_singles(
      model, {Part::kFinalNorm, Part::kFinalNormBias, Part::kLmHead, Part::kLmHeadBias}, dtype, device);
  if (model.config.tied_embeddings)
    weights.merge(load_singles(model, {Part::kTokenEmbedding}, dtype, device));
  return weights;
}

}  // namespace regroup::model
