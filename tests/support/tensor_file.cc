#include "tests/support/tensor_file.h"

#include "core/base/error.h"
#include "core/checkpoint/safetensors.h"

namespace regroup::testing {
namespace {

using checkpoint::DType;
using checkpoint::TensorInfo;

constexpr std::pair<DType, at::ScalarType> kTypes[] = {
    {DType::kF64, at::kDouble}, {DType::kF32, at::kFloat}, {DType::kI64, at::kLong}};

}  // namespace

NamedTensors read_tensor_file(const std::filesystem::path& path) {
  const checkpoint::TensorFile file = checkpoint::open_safetensors(path);
  NamedTensors tensors;
  for (const TensorInfo& info : file.header().tensors)
    for (const auto& [stored, type] : kTypes)
      if (info.dtype == stored) {
        at::Tensor& values = tensors[info.name] = at::empty(info.shape, type);
        file.read(info, 0, {static_cast<std::byte*>(values.mutable_data_ptr()), info.bytes()});
      }
  check(tensors.size() == file.header().tensors.size(), "a golden of another type");
  return tensors;
}

void write_tensor_file(const std::filesystem::path& path, const NamedTensors& tensors) {
  std::vector<TensorInfo> infos;
  for (const auto& [name, values] : tensors)
    for (const auto& [stored, type] : kTypes)
      if (values.scalar_type() == type)
        infos.push_back({.name = name, .dtype = stored, .shape = values.sizes().vec()});
  checkpoint::SafetensorsWriter file(path, infos, {});
  for (const TensorInfo& info : infos) {
    const at::Tensor values = tensors.at(info.name).contiguous();
    file.append({static_cast<const std::byte*>(values.const_data_ptr()), values.nbytes()});
  }
  file.finish();
}

}  // namespace regroup::testing
