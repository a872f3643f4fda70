#include "convert/layer_heads.h"

#include <vector>

#include "core/base/error.h"
#include "core/model/stored.h"

namespace regroup::convert {

using family::ModelDirectory;
using family::ModelTensor;
using family::Part;

LayerHeads::LayerHeads(const ModelDirectory& model, const MergeMethod& method, std::int64_t groups,
                       std::uint64_t seed)
    : model_(model),
      method_(method),
      context_{.groups = groups, .seed = seed, .initializer_range = model.config.initializer_range} {}

void LayerHeads::load(std::int64_t layer) {
  const auto heads_of = [&](Part part) {
    const ModelTensor* tensor = model_.find(part, layer);
    if (tensor == nullptr) return at::Tensor();
    return model::read_values(model_, *tensor, at::kFloat)
        .unflatten(0, {model_.config.kv_heads, model_.config.head_dim});
  };
  layer_ = -1;
  heads_ = {};  // before the next layer is read: only one is held
  context_.layer = layer;
  heads_ = method_.merge({heads_of(Part::kKeyWeight), heads_of(Part::kValueWeight), heads_of(Part::kKeyBias),
                          heads_of(Part::kValueBias)},
                         context_);
  layer_ = layer;
}

at::Tensor LayerHeads::merged(const ModelTensor& tensor) {
  if (layer_ != tensor.layer) load(tensor.layer);
  const at::Tensor& heads = tensor.part == Part::kKeyWeight     ? heads_.k_KDM
                            : tensor.part == Part::kValueWeight ? heads_.v_KDM
                            : tensor.part == Part::kKeyBias     ? heads_.k_bias_KD
                                                                : heads_.v_bias_KD;
  check(heads.defined(), "a merged tensor that the layer does not have");
  return heads.flatten(0, 1);
}

}  // namespace regroup::convert
