// A tiny model and tokens to calibrate its conversion on.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "convert/convert.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_llama.h"
#include "tests/support/token_file.h"

namespace regroup::convert {

namespace fs = std::filesystem;

using testing::TempDir;
using testing::TinyLlama;

inline const TinyLlama kShape{
    .layers = 3, .hidden = 16, .heads = 4, .kv_heads = 4, .head_dim = 4, .ffn = 24, .vocab = 40};

class CalibratedMerge : public ::testing::Test {
 protected:
  void SetUp() override {
    testing::write_tiny_llama(kShape, folder_ / "source");
    testing::write_random_tokens(folder_ / "tokens", 64 * 30, kShape.vocab);
  }

  ConvertOptions options(const std::string& out) const {
    return {.model = folder_ / "source",
            .output = folder_ / out,
            .plan = {.kv_heads = 2},
            .calibration = {.files = {folder_ / "tokens"}, .format = "nanogpt", .tokens = 64 * 20}};
  }

  fs::path run(const ConvertOptions& options) const {
    convert(options, Json::object());
    return options.output;
  }

  TempDir folder_;
};

inline std::string weights_in(const fs::path& directory) {
  return read_text(directory / "model.safetensors");
}

}  // namespace regroup::convert
