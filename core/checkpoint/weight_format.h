// The formats of weights that a directory may hold: a table. Tests loop over it.
#pragma once

#include <filesystem>
#include <span>
#include <string_view>

#include "core/checkpoint/tensor_file.h"

namespace regroup::checkpoint {

// How transformers calls the files of a format.
struct Format {
  std::string_view single, index, extension;
  TensorFile (*open)(const std::filesystem::path& path);
};

// In the order in which transformers looks for them.
std::span<const Format> weight_formats();

}  // namespace regroup::checkpoint
