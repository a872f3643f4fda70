#include "convert/layer_heads.h"

#include <vector>

#include "core/base/error.h"
#include "core/model/device.h"

namespace regroup::convert {

using family::ModelDirectory;
using family::ModelTensor;
using family::Part;
using model::scalar_type;

at::Tensor read_float(const ModelDirectory& model, const ModelTensor& tensor) {
  const checkpoint::TensorInfo& info = *tensor.stored.info;
  at::Tensor values = at::empty(info.shape, scalar_type(info.dtype));
  model.checkpoint.read(tensor.stored, {static_cast<std::byte*>(values.mutable_data_ptr()), info.bytes()});
  values = values.to(at::kFloat);
  if (!at::isfinite(values).all().item<bool>())
    throw UserError({.where = model.checkpoint.files()[tensor.stored.file].path().string(),
                     .what = "'" + info.name + "' holds a NaN or an infinity"});
  return values;
}

LayerHeads::LayerHeads(const ModelDirectory& model, const MergeMethod& method, std::int64_t groups,
                       std::uint64_t seed)
    : model_(model),
      method_(method),
      context_{.groups = groups, .seed = seed, .initializer_range = model.config.initializer_range} {}

void LayerHeads::load(std::int64_t layer) {
  const auto heads_of = [&](Part part) {
    const ModelTensor* tensor = model_.find(part, layer);
    if (tensor == nullptr) return at::Tensor();
    return read_float(model_, *tensor).unflatten(0, {model_.config.kv_heads, model_.config.head_dim});
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
