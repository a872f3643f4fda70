#include "convert/merged_layers.h"

#include "core/model/stored.h"

namespace regroup::convert {

using family::ModelDirectory;
using family::Part;

const AttentionLayer& MergedLayers::layer(std::int64_t layer) {
  if (layer_ != layer) {
    layer_ = -1;
    held_ = {};  // before the next layer is read
    MergedLayer merged = merge_(layer);
    held_ = std::move(merged.attention);
    records_[layer] = std::move(merged.record);
    layer_ = layer;
  }
  return held_;
}

at::Tensor MergedLayers::merged(const family::ModelTensor& tensor) {
  layer(tensor.layer);
  return model::arranged(tensor, config_, [&](Part part) { return part_of(config_, held_, part); });
}

InputMoments moments_from_weights(const ModelDirectory& model, std::int64_t layer,
                                  const AttentionLayer& attention) {
  const auto values = [&](Part part) {
    const family::ModelTensor* tensor = model.find(part, layer);
    const bool reads_norm = model.config.block != family::Block::kPostNorm;
    return tensor && reads_norm ? model::read_values(model, *tensor, at::kDouble) : at::Tensor();
  };
  at::Tensor weight_M = values(Part::kAttentionNorm);
  if (weight_M.defined() && model.config.norm_plus_one) weight_M = weight_M + 1;
  return moments_of_norm(weight_M, values(Part::kAttentionNormBias), attention.has_bias(),
                         model.config.hidden);
}

MergedLayers merged_from_weights(const ModelDirectory& model, const MergeRecipe& recipe) {
  family::ModelConfig config = model.config;
  config.kv_heads = recipe.groups;
  return MergedLayers(config, [&model, recipe](std::int64_t layer) {
    const bool stored_together = model.find(Part::kKeyWeight, layer)->part != Part::kKeyWeight;
    const bool with_queries =
        recipe.needs_statistics() || recipe.changes_queries() || stored_together || recipe.moves;
    const AttentionLayer source = read_attention(model, layer, with_queries);
    if (!recipe.needs_statistics()) return merge_layer(source, nullptr, false, recipe, layer);
    const InputMoments moments = moments_from_weights(model, layer, source);
    return merge_layer(source, &moments, false, recipe, layer);
  });
}

}  // namespace regroup::convert
