#include "core/model/positions.h"

#include <vector>

#include "core/model/fused.h"
#include "core/model/norm.h"

namespace regroup::model {

at::Tensor rotation_frequencies(const family::ModelConfig& config, std::int64_t length,
                                at::TensorOptions options) {
  const at::ScalarType type = accumulation_type(at::typeMetaToScalarType(options.dtype()));
  const at::Tensor frequencies =
      type == at::kDouble
          ? at::tensor(at::ArrayRef<double>(family::rope_frequencies(config, length)), at::kDouble)
          : at::tensor(at::ArrayRef<float>(family::rope_frequencies_float32(config, length)), at::kFloat);
  return frequencies.to(options.device());
}

Rotation rotation_at(const family::ModelConfig& config, std::int64_t first, std::int64_t count,
                     at::TensorOptions options, at::ScalarType type) {
  if (config.rope.dims == 0) return {};
  const at::Tensor frequencies_C = rotation_frequencies(config, first + count, options);
  const at::Tensor positions_T = at::arange(first, first + count, frequencies_C.options());
  const at::Tensor angles_TC = positions_T.unsqueeze(1) * frequencies_C;
  const double factor = config.rope.attention_factor;
  if (factor == 1) return {angles_TC.cos().to(type), angles_TC.sin().to(type)};
  return {(angles_TC.cos() * factor).to(type), (angles_TC.sin() * factor).to(type)};
}

at::Tensor rotate(const at::Tensor& heads, const Rotation& rotation) {
  if (!rotation.cos_TC.defined()) return heads;
  const std::int64_t dims = 2 * rotation.cos_TC.size(1), all = heads.size(-1);
  if (fused::applies(heads) && heads.dim() == 4 && dims == all && rotation.cos_TC.scalar_type() == at::kFloat)
    return fused::rotate(heads, rotation.cos_TC, rotation.sin_TC);
  const at::Tensor low = heads.narrow(-1, 0, dims / 2), high = heads.narrow(-1, dims / 2, dims / 2);
  const at::Tensor cos_TC = rotation.cos_TC.to(heads.scalar_type()),
                   sin_TC = rotation.sin_TC.to(heads.scalar_type());
  std::vector<at::Tensor> turned = {low * cos_TC - high * sin_TC, high * cos_TC + low * sin_TC};
  if (dims < all) turned.push_back(heads.narrow(-1, dims, all - dims));
  return at::cat(turned, -1);
}

}  // namespace regroup::model
