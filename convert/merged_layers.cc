#include "convert/merged_layers.h"

#include "core/model/stored.h"

namespace regroup::convert {

using family::ModelDirectory;
using family::Part;

at::Tensor MergedLayers::merged(const family::ModelTensor& tensor) {
  if (layer_ != tensor.layer) {
    layer_ = -1;
    held_ = {};  // before the next layer is read
    MergedLayer layer = merge_(tensor.layer);
    held_ = std::move(layer.attention);
    records_[tensor.layer] = std::move(layer.record);
    layer_ = tensor.layer;
  }
  return stored_form(held_, tensor.part);
}

MergedLayers merged_from_weights(const ModelDirectory& model, const MergeRecipe& recipe) {
  return MergedLayers([&model, recipe](std::int64_t layer) {
    const bool with_queries = recipe.needs_statistics() || recipe.changes_queries();
    const AttentionLayer source = read_attention(model, layer, with_queries);
    if (!recipe.needs_statistics()) return merge_layer(source, nullptr, false, recipe, layer);
    const at::Tensor norm = model::read_values(model, *model.find(Part::kAttentionNorm, layer), at::kDouble);
    const InputMoments moments = moments_of_norm(norm, source.has_bias());
    return merge_layer(source, &moments, false, recipe, layer);
  });
}

}  // namespace regroup::convert
