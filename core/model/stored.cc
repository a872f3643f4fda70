#include "core/model/stored.h"

#include <fmt/format.h>

#include <vector>

#include "core/base/error.h"
#include "core/family/layout.h"
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

namespace {

// Rows of a tensor, those of [heads, D] counted through its heads.
at::Tensor rows_of(const at::Tensor& values, const std::vector<std::int64_t>& rows) {
  const at::Tensor index = at::tensor(rows, at::kLong);
  if (static_cast<std::int64_t>(rows.size()) <= values.size(0)) return values.index_select(0, index);
  return values.flatten().index_select(0, index).view_as(values);
}

}  // namespace

void for_parts(const ModelTensor& tensor, const family::ModelConfig& config, const at::Tensor& values,
               const std::function<void(family::Part, const at::Tensor&)>& visit) {
  const at::Tensor upright = tensor.layout.transposed ? values.t().contiguous() : values;
  for (const family::PartRows& held : family::parts_in(tensor.layout, tensor.part, config))
    visit(held.part, held.identity ? upright : rows_of(upright, held.rows));
}

at::Tensor arranged(const ModelTensor& tensor, const family::ModelConfig& config,
                    const std::function<at::Tensor(family::Part)>& part) {
  std::vector<at::Tensor> parts;
  std::vector<at::Tensor> rows;
  for (const family::PartRows& held : family::parts_in(tensor.layout, tensor.part, config)) {
    parts.push_back(part(held.part));
    if (!held.identity) rows.push_back(at::tensor(held.rows, at::kLong));
  }
  at::Tensor values = tensor.item < 0 ? parts.front() : parts.front()[tensor.item];
  if (!rows.empty()) {
    const at::Tensor order = at::cat(rows), all = at::cat(parts);
    const at::Tensor in_rows = all.size(0) == order.size(0) ? all : all.flatten();
    values = at::empty_like(in_rows).index_copy_(0, order, in_rows).view_as(all);
  }
  return (tensor.layout.transposed ? values.t() : values).contiguous();
}

void refuse_stored(const ModelDirectory& model, const ModelTensor& tensor, const std::string& what,
                   std::string remedy) {
  throw UserError({.where = model.checkpoint.files()[tensor.stored.file].path().string(),
                   .what = fmt::format("'{}' {}", tensor.stored.info->name, what),
                   .remedy = std::move(remedy)});
}

}  // namespace regroup::model
