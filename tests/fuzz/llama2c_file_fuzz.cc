// Whatever the bytes of a llama2.c file, opening it ends in a model whose tensors can be read, each of them,
// or in a UserError.
#include <cstring>
#include <vector>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/family/model_directory.h"
#include "tests/fuzz/support.h"

namespace {

using namespace regroup;

void check_model(const family::ModelDirectory& model, std::uint64_t file_bytes) {
  std::uint64_t total = 0;
  for (const family::ModelTensor& tensor : model.tensors) {
    fuzz::require(tensor.stored.info->end <= file_bytes);
    std::vector<std::byte> bytes(tensor.stored.info->bytes());
    model.checkpoint.read(tensor.stored, bytes);
    total += bytes.size();
  }
  fuzz::require(total < file_bytes);
  fuzz::require(model.find(family::Part::kTokenEmbedding) != nullptr);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const fuzz::TemporaryFolder folder;
  const std::filesystem::path file = folder.path / "model.bin";
  write_text(file, {reinterpret_cast<const char*>(data), size});
  try {
    check_model(family::open_model(file), size);
  } catch (const UserError& error) {
    fuzz::require(std::strlen(error.what()) < 2000);
  }
  return 0;
}
