#include "core/model/stored.h"

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/model/device.h"

namespace regroup::model {

using family::ModelDirectory;
using family::ModelTensor;

std::span<const std::byte> bytes_of(const at::Tensor& tensor) {
  check(tensor.is_cpu() && tensor.is_contiguous(), "bytes in the order of the elements");
  return {static_cast<const std::byte*>(tensor.const_data_ptr()), tensor.nbytes()};
}

std::span<std::byte> bytes_of(at::Tensor& tensor) {
  check(tensor.is_cpu() && tensor.is_contiguous(), "bytes in the order of the elements");
  return {static_cast<std::byte*>(tensor.mutable_data_ptr()), tensor.nbytes()};
}

at::Tensor read_stored(const ModelDirectory& model, const ModelTensor& tensor) {
  at::Tensor values = at::empty(tensor.stored.info->shape, scalar_type(tensor.stored.info->dtype));
  model.checkpoint.read(tensor.stored, bytes_of(values));
  return values;
}

at::Tensor read_values(const ModelDirectory& model, const ModelTensor& tensor, at::ScalarType dtype) {
  const at::Tensor stored = read_stored(model, tensor);
  if (!checkpoint::all_finite(bytes_of(stored), tensor.stored.info->dtype))
    refuse_stored(model, tensor, "holds NaN or infinity",
                  "The checkpoint is damaged, or its training diverged");
  at::Tensor values = stored.to(dtype);
  const bool wide_enough = at::promote_types(stored.scalar_type(), dtype) == dtype;
  if (!wide_enough && !at::isfinite(values).all().item<bool>())
    refuse_stored(model, tensor, fmt::format("holds values beyond the range of {}", at::toString(dtype)),
                  "Choose a wider --dtype");
  return values;
}

void refuse_stored(const ModelDirectory& model, const ModelTensor& tensor, const std::string& what,
                   std::string remedy) {
  throw UserError({.where = model.checkpoint.files()[tensor.stored.file].path().string(),
                   .what = fmt::format("'{}' {}", tensor.stored.info->name, what),
                   .remedy = std::move(remedy)});
}

}  // namespace regroup::model
