#include <fmt/format.h>

#include "core/base/error.h"
#include "core/base/progress.h"
#include "core/model/decoder.h"
#include "core/model/device.h"

namespace regroup::model {
namespace {

using family::ModelDirectory;
using family::ModelTensor;
using family::Part;

[[noreturn]] void refuse(const ModelDirectory& model, const ModelTensor& tensor, std::string what,
                         std::string remedy) {
  throw UserError({.where = model.checkpoint.files()[tensor.stored.file].path().string(),
                   .what = fmt::format("'{}' {}", tensor.stored.info->name, what),
                   .remedy = std::move(remedy)});
}

at::Tensor read_stored(const ModelDirectory& model, const ModelTensor& tensor) {
  at::Tensor values = at::empty(tensor.stored.info->shape, scalar_type(tensor.stored.info->dtype));
  model.checkpoint.read(tensor.stored,
                        {static_cast<std::byte*>(values.mutable_data_ptr()), tensor.stored.info->bytes()});
  return values;
}

bool all_finite(const at::Tensor& values) {
  return at::isfinite(values).all().item<bool>();
}

at::Tensor read_finite(const ModelDirectory& model, const ModelTensor& tensor, at::ScalarType dtype) {
  const at::Tensor stored = read_stored(model, tensor), values = stored.to(dtype);
  if (all_finite(values)) return values;
  if (all_finite(stored))
    refuse(model, tensor, fmt::format("holds values beyond the range of {}", at::toString(dtype)),
           "Choose a wider --dtype");
  refuse(model, tensor, "holds NaN or infinity", "The checkpoint is damaged, or its training diverged");
}

// HF ties only what is equal; a copy that says something else is a contradiction that engines resolve
// differently.
void check_tied_copy(const ModelDirectory& model, const ModelTensor& copy) {
  const ModelTensor* embedding = model.find(Part::kTokenEmbedding);
  check(embedding != nullptr, "open_model() demands the embedding");
  const at::Tensor one = read_stored(model, *embedding), other = read_stored(model, copy);
  const at::ScalarType common = at::promote_types(one.scalar_type(), other.scalar_type());
  if (!at::equal(one.to(common), other.to(common)))
    refuse(model, copy, "differs from the embedding although config.json ties the two (tie_word_embeddings)",
           "Set tie_word_embeddings to false if the head is its own");
}

}  // namespace

Weights load_weights(const ModelDirectory& model, at::ScalarType dtype, at::Device device) {
  Weights weights;
  Progress progress("reading " + model.path.string(), static_cast<double>(model.checkpoint.data_bytes()),
                    "B");
  for (const ModelTensor& tensor : model.tensors) {
    progress.advance(static_cast<double>(tensor.stored.info->bytes()));
    if (tensor.part == Part::kUnused) continue;
    if (tensor.part == Part::kLmHead && model.config.tied_embeddings)
      check_tied_copy(model, tensor);
    else
      weights[{tensor.part, tensor.layer}] = read_finite(model, tensor, dtype).to(device);
  }
  return weights;
}

}  // namespace regroup::model
