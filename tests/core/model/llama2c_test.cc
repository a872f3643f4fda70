// Logits of llama2.c's files against those of HF transformers for the models that they were made from. How
// the goldens came to be: tests/goldens/llama2c/README.md.
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <cstring>
#include <limits>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/model/companions.h"
#include "core/model/decoder.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tensor_file.h"

namespace regroup::model {
namespace {

namespace fs = std::filesystem;

const fs::path kGoldens = fs::path(REGROUP_SOURCE_DIR) / "tests/goldens/llama2c";

class Llama2cParity : public ::testing::TestWithParam<const char*> {};

TEST_P(Llama2cParity, LogitsAreThoseOfHf) {
  const c10::NoGradGuard no_grad;
  const auto golden = testing::read_tensor_file(kGoldens / GetParam() / "expected.safetensors");
  const family::ModelDirectory model = family::open_model(kGoldens / GetParam() / "model.bin");
  const Decoder decoder(model.config, load_weights(model, at::kFloat, at::kCPU));
  const at::Tensor logits = decoder.logits(decoder.hidden_states(golden.at("ids")));
  const double distance = (logits - golden.at("logits_fp32")).abs().max().item<double>();
  EXPECT_LE(distance, 1e-4);
  std::printf("  %-8s %.1e\n", GetParam(), distance);
}

INSTANTIATE_TEST_SUITE_P(Goldens, Llama2cParity, ::testing::Values("mha", "gqa", "untied"),
                         [](const auto& golden) { return std::string(golden.param); });

TEST(Llama2cWeights, ANanIsNamed) {
  const testing::TempDir folder;
  std::string bytes = read_text(kGoldens / "mha/model.bin");
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  std::memcpy(bytes.data() + 28 + 4 * 20 * 24, &kNan, sizeof kNan);
  write_text(folder / "model.bin", bytes);
  const family::ModelDirectory model = family::open_model(folder / "model.bin");
  const std::string message = testing::user_error_of([&] { load_weights(model, at::kFloat, at::kCPU); });
  EXPECT_CONTAINS(message, "model.bin: 'model.layers.0.input_layernorm.weight' holds NaN or infinity");
}

TEST(Companions, OfAFileAreItsTokenizerUnderTheUsualName) {
  const testing::TempDir folder;
  fs::copy_file(kGoldens / "mha/model.bin", folder / "model.bin");
  write_text(folder / "README.md", "of something else");
  const family::ModelDirectory model = family::open_model(folder / "model.bin");
  EXPECT_TRUE(companions(model).empty());
  const fs::path tokenizer = fs::path(REGROUP_SOURCE_DIR) / "tests/goldens/tokenizer/llama.model";
  fs::copy_file(tokenizer, folder / "tokenizer.model");
  EXPECT_CONTAINS(testing::user_error_of([&] { companions(model); }), "expected at most 20 pieces");
}

}  // namespace
}  // namespace regroup::model
