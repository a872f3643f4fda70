// Whatever a pickle says, reading it as a dictionary of tensors ends in tensors that lie inside their
// storages or in a UserError.
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "core/base/error.h"
#include "core/checkpoint/torch_file.h"

namespace {

using namespace regroup::checkpoint;

const std::map<std::string, ZipEntry, std::less<>> kStorages = {
    {"0", {.begin = 64, .bytes = 24}}, {"1", {.begin = 128, .bytes = 64}}, {"2", {.begin = 192, .bytes = 0}}};

void require(bool promise) {
  if (!promise) std::abort();
}

bool is_inside(const TensorInfo& tensor, const ZipEntry& storage) {
  return tensor.begin >= storage.begin && tensor.end <= storage.end();
}

void check_tensor(const TensorInfo& tensor) {
  require(tensor.begin <= tensor.end);
  require(static_cast<std::uint64_t>(tensor.elements()) * dtype_bits(tensor.dtype) == tensor.bytes() * 8);
  bool inside = false;
  for (const auto& [key, storage] : kStorages) inside |= is_inside(tensor, storage);
  require(inside);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    for (const TensorInfo& tensor : parse_state_dict(std::as_bytes(std::span(data, size)), kStorages, "fuzz"))
      check_tensor(tensor);
  } catch (const regroup::UserError& error) {
    require(std::strlen(error.what()) < 2000);
  }
  return 0;
}
