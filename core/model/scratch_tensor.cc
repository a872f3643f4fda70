#include "core/model/scratch_tensor.h"

#include <memory>

#include "core/base/scratch_memory.h"

namespace regroup::model {

at::Tensor scratch_tensor(at::IntArrayRef shape, at::ScalarType type,
                          const std::optional<std::filesystem::path>& directory) {
  if (!directory) return at::empty(shape, type);
  const auto bytes = static_cast<std::uint64_t>(c10::multiply_integers(shape)) * at::elementSize(type);
  auto file = std::make_shared<ScratchMemory>(*directory, bytes);
  void* begin = file->bytes().data();
  return at::from_blob(
      begin, shape, [file = std::move(file)](void*) {}, type);
}

}  // namespace regroup::model
