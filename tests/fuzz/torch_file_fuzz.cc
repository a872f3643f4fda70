// Whatever the bytes of a pytorch_model.bin, opening it ends in tensors that lie inside the file, under names
// of their own, or in a UserError.
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <set>
#include <string>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/checkpoint/torch_file.h"

namespace {

using namespace regroup::checkpoint;
namespace fs = std::filesystem;

void require(bool promise) {
  if (!promise) std::abort();
}

// In memory-backed storage where there is any.
struct TemporaryFile {
  fs::path path = (fs::is_directory("/dev/shm") ? fs::path("/dev/shm") : fs::temp_directory_path()) /
                  ("regroup-torch-file-fuzz-" + std::to_string(::getpid()));
  ~TemporaryFile() { fs::remove(path); }
};

void check_file(const TensorFile& file, std::uint64_t file_bytes) {
  std::set<std::string> names;
  for (const TensorInfo& tensor : file.header().tensors) {
    require(names.insert(tensor.name).second);
    require(tensor.begin <= tensor.end && tensor.end <= file_bytes);
    require(static_cast<std::uint64_t>(tensor.elements()) * dtype_bits(tensor.dtype) == tensor.bytes() * 8);
    std::vector<std::byte> bytes(tensor.bytes());
    file.read(tensor, 0, bytes);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const TemporaryFile file;
  regroup::write_text(file.path, {reinterpret_cast<const char*>(data), size});
  try {
    check_file(open_torch_file(file.path), size);
  } catch (const regroup::UserError& error) {
    require(std::strlen(error.what()) < 2000);
  }
  return 0;
}
