// A model that is named by one file instead of a directory: llama2.c's .bin (core/family/llama2c_file.h), its
// tokenizer beside it (core/tokenizer/beside.h).
#pragma once

#include <filesystem>

namespace regroup {

// By its name; a directory of such a name is a directory.
inline bool is_model_file(const std::filesystem::path& path) {
  std::error_code error;
  return path.extension() == ".bin" && std::filesystem::is_regular_file(path, error);
}

}  // namespace regroup
