#include <gtest/gtest.h>

#include <limits>

#include "core/model/decoder.h"
#include "tests/support/model_files.h"
#include "tests/support/temp_dir.h"

namespace regroup::model {
namespace {

using family::Part;
using testing::FileTensor;

constexpr const char* kUp = "model.layers.0.mlp.up_proj.weight";

class LoadWeights : public ::testing::Test {
 protected:
  Weights load(at::ScalarType dtype = at::kFloat) {
    testing::write_model(directory_.path(), config_, tensors_);
    return load_weights(family::open_model(directory_.path()), dtype, at::kCPU);
  }
  std::string refusal(at::ScalarType dtype = at::kFloat) {
    std::string message = testing::message_of([&] { load(dtype); });
    return message.erase(0, directory_.path().string().size());
  }
  void set(const std::string& name, std::size_t index, float value) {
    std::memcpy(tensors_[name].bytes.data() + index * sizeof value, &value, sizeof value);
  }

  testing::TempDir directory_;
  Json config_ = testing::tiny_llama();
  testing::FileTensors tensors_ = testing::required_tensors(config_);
};

TEST_F(LoadWeights, ReadsAndConverts) {
  set(kUp, 7, 1.0009765625F);  // 1 + 2^-10: beyond bfloat16
  const Weights exact = load(at::kDouble), rounded = load(at::kBFloat16);
  EXPECT_EQ(exact.size(), 12u);
  const WeightKey up = {Part::kUpWeight, 0};
  EXPECT_EQ(exact.at(up).sizes(), (std::vector<std::int64_t>{6, 8}));
  EXPECT_EQ(exact.at(up)[0][7].item<double>(), 1.0009765625);
  EXPECT_EQ(rounded.at(up)[0][7].item<double>(), 1);
  EXPECT_EQ(rounded.at(up).scalar_type(), at::kBFloat16);
}

TEST_F(LoadWeights, ReadsFilesOfMixedTypes) {
  tensors_[kUp] = {"BF16", {6, 8}, std::string(96, '\0')};
  tensors_[kUp].bytes[1] = 0x40;  // 2 in bfloat16
  tensors_["model.norm.weight"] = {"F64", {8}, std::string(64, '\0')};
  const Weights weights = load();
  EXPECT_EQ((weights.at({Part::kUpWeight, 0})[0][0].item<double>()), 2);
  EXPECT_EQ((weights.at({Part::kFinalNorm, -1}).scalar_type()), at::kFloat);
}

TEST_F(LoadWeights, NamesTheTensorThatIsNotFinite) {
  for (const float value :
       {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
    set(kUp, 3, value);
    EXPECT_EQ(
        refusal(),
        "/model.safetensors: 'model.layers.0.mlp.up_proj.weight' holds NaN or infinity. The checkpoint is "
        "damaged, or its training diverged");
  }
}

TEST_F(LoadWeights, SaysWhenTheTypeIsTooNarrow) {
  set(kUp, 3, 70000);
  EXPECT_EQ(refusal(at::kHalf),
            "/model.safetensors: 'model.layers.0.mlp.up_proj.weight' holds values beyond the range of Half. "
            "Choose a "
            "wider --dtype");
  EXPECT_NO_THROW(load(at::kBFloat16));
}

TEST_F(LoadWeights, ATiedHeadIsNotLoadedAndItsCopyMustAgree) {
  config_["tie_word_embeddings"] = true;
  EXPECT_EQ((load().count({Part::kLmHead, -1})), 0u);
  set("lm_head.weight", 0, 2);
  EXPECT_EQ(
      refusal(),
      "/model.safetensors: 'lm_head.weight' differs from the embedding although config.json ties the two "
      "(tie_word_embeddings). Set tie_word_embeddings to false if the head is its own");
}

TEST_F(LoadWeights, LeavesBuffersOut) {
  tensors_["model.layers.0.self_attn.rotary_emb.inv_freq"] = FileTensor::of_floats({2}, 1);
  EXPECT_EQ(load().size(), 12u);
}

}  // namespace
}  // namespace regroup::model
