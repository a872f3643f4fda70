#include "export/part.h"

#include <algorithm>
#include <cstring>

#include "core/base/error.h"
#include "core/base/half.h"
#include "core/family/layout.h"

namespace regroup::exporting {
namespace {

using checkpoint::DType;
using family::ModelDirectory;
using family::ModelTensor;
using family::Part;

// All that a part is made of: one tensor, or one for each head.
std::vector<const ModelTensor*> tensors_of(const ModelDirectory& model, Part part, std::int64_t layer) {
  const ModelTensor* first = model.find(part, layer);
  check(first != nullptr, "a part that the model has not");
  if (first->item < 0) return {first};
  std::vector<const ModelTensor*> items;
  for (const ModelTensor& tensor : model.tensors)
    if (tensor.part == part && tensor.layer == layer) items.push_back(&tensor);
  std::ranges::sort(items, {}, &ModelTensor::item);
  return items;
}

bool is_flat(const ModelTensor& tensor, Part part) {
  return tensor.stored.info->shape.size() == 1 || part == Part::kQueryNorm || part == Part::kKeyNorm;
}

// Rows of the stored tensor, once it is turned over if it is stored [in, out].
std::int64_t stored_rows(const ModelTensor& tensor, Part part) {
  const auto& shape = tensor.stored.info->shape;
  if (is_flat(tensor, part)) return tensor.stored.info->elements();
  return tensor.layout.transposed ? shape.back() : shape.front();
}

std::vector<std::int64_t> rows_of(const ModelDirectory& model, const ModelTensor& tensor, Part part) {
  for (family::PartRows& held : family::parts_in(tensor.layout, tensor.part, model.config)) {
    if (held.part != part) continue;
    if (!held.identity) return std::move(held.rows);
    std::vector<std::int64_t> rows(static_cast<std::size_t>(stored_rows(tensor, part)));
    for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<std::int64_t>(i);
    return rows;
  }
  check(false, "a tensor without the part that it was found for");
  return {};
}

// [in, out] to [out, in].
std::vector<std::byte> turned_over(const std::vector<std::byte>& bytes, std::size_t rows, std::size_t columns,
                                   std::size_t element) {
  std::vector<std::byte> turned(bytes.size());
  for (std::size_t row = 0; row < rows; ++row)
    for (std::size_t column = 0; column < columns; ++column)
      std::memcpy(&turned[(column * rows + row) * element], &bytes[(row * columns + column) * element],
                  element);
  return turned;
}

template <typename Stored, typename Convert>
void widen(const std::byte* bytes, Convert convert, std::span<float> out) {
  for (float& number : out) {
    Stored stored;
    std::memcpy(&stored, bytes, sizeof(Stored));
    number = convert(stored);
    bytes += sizeof(Stored);
  }
}

}  // namespace

std::vector<std::int64_t> part_shape(const ModelDirectory& model, Part part, std::int64_t layer) {
  const auto tensors = tensors_of(model, part, layer);
  const ModelTensor& first = *tensors.front();
  const auto& shape = first.stored.info->shape;
  if (tensors.size() > 1) return {static_cast<std::int64_t>(tensors.size()), shape.front()};
  const auto rows = static_cast<std::int64_t>(rows_of(model, first, part).size());
  if (shape.size() == 1) return {rows};
  if (is_flat(first, part)) return {rows / shape.back(), shape.back()};
  return {rows, first.layout.transposed ? shape.front() : shape.back()};
}

PartReader::PartReader(const ModelDirectory& model, Part part, std::int64_t layer) {
  for (const ModelTensor* tensor : tensors_of(model, part, layer)) read(model, *tensor, part);
}

void PartReader::read(const ModelDirectory& model, const ModelTensor& tensor, Part part) {
  const checkpoint::TensorInfo& info = *tensor.stored.info;
  check(bytes_.empty() || dtype_ == info.dtype, "heads' tensors of several types");
  if (bytes_.empty()) name_ = info.name;
  dtype_ = info.dtype;
  const auto element = static_cast<std::size_t>(checkpoint::dtype_bits(dtype_) / 8);
  std::vector<std::byte> bytes(static_cast<std::size_t>(info.elements()) * element);
  model.checkpoint.read(tensor.stored, bytes);
  if (!is_flat(tensor, part)) {
    const auto rows = static_cast<std::size_t>(info.shape.front()),
               columns = static_cast<std::size_t>(info.shape.back());
    if (tensor.layout.transposed) bytes = turned_over(bytes, rows, columns, element);
    columns_ = tensor.layout.transposed ? info.shape.front() : info.shape.back();
  }
  const auto before =
      static_cast<std::int64_t>(bytes_.size() / element) / columns_;  // rows of the heads before this one
  for (const std::int64_t row : rows_of(model, tensor, part)) stored_rows_.push_back(before + row);
  if (bytes_.empty())
    bytes_ = std::move(bytes);
  else
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
}

void PartReader::read_row(std::int64_t row, std::span<float> out) const {
  const auto element = static_cast<std::size_t>(checkpoint::dtype_bits(dtype_) / 8);
  const auto at = static_cast<std::size_t>(stored_rows_[static_cast<std::size_t>(row)] * columns_);
  const std::byte* bytes = bytes_.data() + at * element;
  switch (dtype_) {
    case DType::kF64:
      return widen<double>(
          bytes, [](double value) { return static_cast<float>(value); }, out);
    case DType::kF32:
      return widen<float>(
          bytes, [](float value) { return value; }, out);
    case DType::kF16:
      return widen<std::uint16_t>(bytes, half_to_float, out);
    case DType::kBF16:
      return widen<std::uint16_t>(bytes, bfloat16_to_float, out);
    default:
      check(false, "open_model() demands plain floats");
  }
}

}  // namespace regroup::exporting
