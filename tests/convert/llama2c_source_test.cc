// Converting a file of llama2.c: an ordinary Llama directory, the very file that HF writes of the same model
// where no heads are merged, and HF's logits where they are. tests/goldens/llama2c/README.md.
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include "convert/convert.h"
#include "core/base/file.h"
#include "core/base/hash.h"
#include "core/model/decoder.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tensor_file.h"

namespace regroup::convert {
namespace {

namespace fs = std::filesystem;

class Llama2cSource : public ::testing::TestWithParam<const char*> {
 protected:
  fs::path converted(PlanOptions plan) {
    plan.method = "mean";
    const fs::path output = folder_ / std::to_string(plan.kv_heads);
    convert({.model = golden_ / "model.bin", .output = output, .plan = plan}, Json::object());
    return output;
  }

  at::Tensor logits(const fs::path& path) const {
    const c10::NoGradGuard no_grad;
    const family::ModelDirectory model = family::open_model(path);
    const model::Decoder decoder(model.config, model::load_weights(model, at::kFloat, at::kCPU));
    return decoder.logits(decoder.hidden_states(expected_.at("ids")));
  }

  fs::path golden_ = fs::path(REGROUP_SOURCE_DIR) / "tests/goldens/llama2c" / GetParam();
  testing::NamedTensors expected_ = testing::read_tensor_file(golden_ / "expected.safetensors");
  std::int64_t kv_heads_ = family::open_model(golden_ / "model.bin").config.kv_heads;
  testing::TempDir folder_;
};

TEST_P(Llama2cSource, UnmergedIsTheFileThatHfWrites) {
  const fs::path output = converted({.kv_heads = kv_heads_});
  EXPECT_EQ(sha256_of_file(output / "model.safetensors"), read_json(golden_ / "safetensors.json")["sha256"]);
  const Json config = read_json(output / "config.json");
  EXPECT_EQ(config["architectures"], Json{"LlamaForCausalLM"});
  EXPECT_EQ(config["num_key_value_heads"], kv_heads_);
  EXPECT_EQ(read_json(output / "regroup.json")["source"]["files"][0]["sha256"],
            sha256_of_file(golden_ / "model.bin"));
}

TEST_P(Llama2cSource, ConvertedLogitsAreThoseOfHf) {
  for (std::int64_t kv_heads = kv_heads_; kv_heads >= 1; kv_heads /= 2) {
    const std::string name = kv_heads == kv_heads_ ? "logits_fp32" : "mean_" + std::to_string(kv_heads);
    const double distance =
        (logits(converted({.kv_heads = kv_heads})) - expected_.at(name)).abs().max().item<double>();
    EXPECT_LE(distance, 1e-4) << name;
    std::printf("  %-8s %lld  %.1e\n", GetParam(), static_cast<long long>(kv_heads), distance);
  }
}

INSTANTIATE_TEST_SUITE_P(Goldens, Llama2cSource, ::testing::Values("mha", "gqa", "untied"),
                         [](const auto& golden) { return std::string(golden.param); });

}  // namespace
}  // namespace regroup::convert
