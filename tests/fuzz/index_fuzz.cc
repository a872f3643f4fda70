// Whatever the text of an index, reading it ends in file names inside the directory or in a UserError.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "core/base/error.h"
#include "core/checkpoint/checkpoint.h"

namespace {

void require(bool promise) {
  if (!promise) std::abort();
}

bool is_inside(const std::filesystem::path& path) {
  return path.is_relative() && std::ranges::find(path, "..") == path.end() &&
         path.string().find('\0') == std::string::npos;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const auto weight_map = regroup::checkpoint::parse_index(text, "fuzz");
    require(!weight_map.empty());
    for (const auto& [tensor, file] : weight_map) require(is_inside(file));
  } catch (const regroup::UserError& error) {
    require(std::strlen(error.what()) < 2000);
  }
  return 0;
}
