#include "core/model/positions.h"

#include "core/model/fused.h"
#include "core/model/norm.h"

namespace regroup::model {

at::Tensor rotation_frequencies(const family::ModelConfig& config, at::TensorOptions options) {
  const at::ScalarType type = accumulation_type(at::typeMetaToScalarType(options.dtype()));
  const at::Tensor frequencies =
      type == at::kDouble
          ? at::tensor(at::ArrayRef<double>(family::rope_frequencies(config)), at::kDouble)
          : at::tensor(at::ArrayRef<float>(family::rope_frequencies_float32(config)), at::kFloat);
  return frequencies.to(options.device());
}

Rotation rotation_at(const at::Tensor& frequencies_C, std::int64_t first, std::int64_t count,
                     at::ScalarType type) {
  const at::Tensor positions_T = at::arange(first, first + count, frequencies_C.options());
  const at::Tensor angles_TC = positions_T.unsqueeze(1) * frequencies_C;
  return {angles_TC.cos().to(type), angles_TC.sin().to(type)};
}

at::Tensor rotate(const at::Tensor& heads, const Rotation& rotation) {
  if (fused::applies(heads) && heads.dim() == 4 && rotation.cos_TC.scalar_type() == at::kFloat)
    return fused::rotate(heads, rotation.cos_TC, rotation.sin_TC);
  const auto halves = heads.chunk(2, -1);
  const at::Tensor &low = halves[0], &high = halves[1];
  return at::cat(
      {low * rotation.cos_TC - high * rotation.sin_TC, high * rotation.cos_TC + low * rotation.sin_TC}, -1);
}

}  // namespace regroup::model
