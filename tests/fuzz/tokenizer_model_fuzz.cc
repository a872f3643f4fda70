// Whatever the bytes of a tokenizer.model, opening it ends in a tokenizer whose ids are inside its
// vocabulary, or in a UserError.
#include <cstring>

#include "core/base/error.h"
#include "core/base/file.h"
#include "tests/fuzz/use_tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace regroup;
  const fuzz::TemporaryFolder folder;
  const std::filesystem::path file = folder.path / "tokenizer.model";
  write_text(file, {reinterpret_cast<const char*>(data), size});
  try {
    fuzz::use(*tokenizer::open_tokenizer(file));
  } catch (const UserError& error) {
    fuzz::require(std::strlen(error.what()) < 2000);
  }
  return 0;
}
