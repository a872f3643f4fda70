// Whatever the bytes of a pytorch_model.bin, opening it ends in tensors that lie inside the file, under names
// of their own, or in a UserError.
#include <cstring>
#include <set>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/checkpoint/torch_file.h"
#include "tests/fuzz/support.h"

namespace {

using namespace regroup;

void check_file(const checkpoint::TensorFile& file, std::uint64_t file_bytes) {
  std::set<std::string> names;
  for (const checkpoint::TensorInfo& tensor : file.header().tensors) {
    fuzz::require(names.insert(tensor.name).second);
    fuzz::require(tensor.begin <= tensor.end && tensor.end <= file_bytes);
    fuzz::require(static_cast<std::uint64_t>(tensor.elements()) * checkpoint::dtype_bits(tensor.dtype) ==
                  tensor.bytes() * 8);
    std::vector<std::byte> bytes(tensor.bytes());
    file.read(tensor, 0, bytes);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const fuzz::TemporaryFolder folder;
  const std::filesystem::path file = folder.path / "pytorch_model.bin";
  write_text(file, {reinterpret_cast<const char*>(data), size});
  try {
    check_file(checkpoint::open_torch_file(file), size);
  } catch (const UserError& error) {
    fuzz::require(std::strlen(error.what()) < 2000);
  }
  return 0;
}
