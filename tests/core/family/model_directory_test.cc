#include "core/family/model_directory.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "core/family/config_reader.h"
#include "tests/support/model_files.h"
#include "tests/support/temp_dir.h"

namespace regroup::family {
namespace {

using testing::FileTensor;
using testing::required_tensors;
using testing::tiny_llama;

constexpr const char* kKey = "model.layers.0.self_attn.k_proj.weight";

class OpenModel : public ::testing::Test {
 protected:
  ModelDirectory open() { return write(), open_model(directory_.path()); }
  // The message it is refused with, the directory's path left out.
  std::string refusal() {
    write();
    std::string message = testing::message_of([&] { open_model(directory_.path()); });
    const std::string path = directory_.path().string();
    if (message.starts_with(path)) message.erase(0, path.size());
    return message;
  }
  void write() { testing::write_model(directory_.path(), config_, tensors_); }

  testing::TempDir directory_;
  Json config_ = tiny_llama();
  testing::FileTensors tensors_ = required_tensors(config_);
};

TEST_F(OpenModel, FindsEveryPart) {
  const ModelDirectory model = open();
  EXPECT_EQ(model.family->name, "llama");
  EXPECT_EQ(model.tensors.size(), 12u);
  EXPECT_EQ(model.find(Part::kKeyWeight, 0)->stored.info->name, kKey);
  EXPECT_EQ(model.find(Part::kKeyWeight, 1), nullptr);
  EXPECT_EQ(model.find(Part::kKeyBias, 0), nullptr);
  EXPECT_EQ(model.parameters(), 2 * 5 * 8 + 4 * 8 * 8 + 3 * 8 * 6 + 3 * 8);
  EXPECT_EQ(model.dtype(), checkpoint::DType::kF32);
}

TEST_F(OpenModel, CountsATiedHeadOnceWhetherStoredOrNot) {
  config_["tie_word_embeddings"] = true;
  const std::int64_t twice = open().parameters();
  tensors_.erase("lm_head.weight");
  EXPECT_EQ(open().parameters(), twice);
  EXPECT_EQ(twice, 5 * 8 + 4 * 8 * 8 + 3 * 8 * 6 + 3 * 8);
}

TEST_F(OpenModel, TakesTheBuffersOfRealFilesWhateverTheirType) {
  tensors_["model.layers.0.self_attn.rotary_emb.inv_freq"] = {"I64", {2}, std::string(16, '\0')};
  const ModelDirectory model = open();
  EXPECT_EQ(model.find(Part::kUnused, 0)->stored.info->elements(), 2);
  EXPECT_EQ(model.parameters(), 2 * 5 * 8 + 4 * 8 * 8 + 3 * 8 * 6 + 3 * 8);
}

TEST_F(OpenModel, SaysTheTypeOfMostElements) {
  tensors_["model.norm.weight"] = {"BF16", {8}, std::string(16, '\0')};
  EXPECT_EQ(open().dtype(), checkpoint::DType::kF32);
  for (auto& [name, tensor] : tensors_)
    if (tensor.shape.size() == 2) tensor = {"F16", tensor.shape, std::string(tensor.bytes.size() / 2, '\0')};
  EXPECT_EQ(open().dtype(), checkpoint::DType::kF16);
}

TEST_F(OpenModel, ReportsAllThatDoesNotBelongTogether) {
  tensors_.erase("model.norm.weight");
  tensors_[kKey] = FileTensor::of_floats({4, 8}, 1);
  tensors_["model.layers.0.self_attn.q_proj.qweight"] = {"I32", {1}, std::string(4, '\0')};
  tensors_["model.layers.0.mlp.up_proj.weight"] = {"I8", {6, 8}, std::string(48, '\0')};
  EXPECT_EQ(
      refusal(),
      ": config.json and the weights do not belong together; tensors\n"
      "  1 missing: model.norm.weight\n"
      "  1 not of this model: model.layers.0.self_attn.q_proj.qweight\n"
      "  1 of another shape: 'model.layers.0.self_attn.k_proj.weight' is [4, 8], config.json makes it [8, "
      "8]\n"
      "  1 in a type that is not FP64, FP32, FP16 or BF16: 'model.layers.0.mlp.up_proj.weight' is I8\n"
      "  config.json says 1 layers, hidden size 8, 2 heads and 2 key/value heads of 4, mlp 6, vocabulary 5. "
      "Take both from the same model");
}

TEST_F(OpenModel, ALongReportStaysShort) {
  config_["num_hidden_layers"] = 60;
  tensors_.clear();
  for (int i = 0; i < 100; ++i) tensors_["extra." + std::to_string(i)] = FileTensor::of_floats({1}, 1);
  const std::string message = refusal();
  EXPECT_LE(std::ranges::count(message, '\n'), 11);
  EXPECT_NE(message.find("543 missing: model.embed_tokens.weight, "), std::string::npos) << message;
  EXPECT_NE(message.find("… and 537 more"), std::string::npos) << message;
  EXPECT_NE(message.find("100 not of this model"), std::string::npos) << message;
}

// The longest lists of names that its counts allow, each possible by itself.
TEST_F(OpenModel, RefusesMoreTensorsThanAnyModelHasAtOnce) {
  config_["architectures"] = {"OlmoeForCausalLM"};
  config_["num_hidden_layers"] = kMostLayers;
  config_["num_experts"] = kMostHeads;
  EXPECT_EQ(refusal(),
            ": config.json says 1024 layers, 2 heads and 4096 experts: expected a model of at most 1000000 "
            "tensors, found 12597251");
}

TEST_F(OpenModel, RefusesABiasThatTheConfigurationDenies) {
  tensors_["model.layers.0.self_attn.q_proj.bias"] = FileTensor::of_floats({8}, 0);
  EXPECT_NE(refusal().find("1 not of this model: model.layers.0.self_attn.q_proj.bias"), std::string::npos);
}

TEST_F(OpenModel, RefusesQuantizedWeightsByName) {
  config_["quantization_config"] = {{"quant_method", "gptq"}, {"bits", 4}};
  EXPECT_EQ(
      refusal(),
      "/config.json: quantized weights (quantization_config) are not supported: found \"gptq\". Take the "
      "checkpoint that it was made from, in fp32, fp16 or bf16");
}

TEST_F(OpenModel, LeavesOutCodeOfAKnownArchitecture) {
  const Json plain = config_;
  config_["auto_map"] = {{"AutoModelForCausalLM", "modeling.Evil"}};
  const ModelDirectory model = open();
  EXPECT_EQ(model.config_json, plain);
  EXPECT_EQ(model.config_text, to_text(plain));
  tensors_.erase(kKey);
  EXPECT_NE(refusal().find("do not belong together"), std::string::npos);
}

TEST_F(OpenModel, RefusesRemoteCodeOfAnyOther) {
  config_["architectures"] = {"EvilForCausalLM"};
  config_["auto_map"] = {{"AutoModelForCausalLM", "modeling.Evil"}};
  EXPECT_EQ(refusal(),
            "/config.json: the model needs code of its own (auto_map), which is never run. Remove 'auto_map' "
            "if the "
            "architecture named in 'architectures' is all it needs");
}

TEST_F(OpenModel, RefusesAnAdapter) {
  testing::write_file(directory_ / "adapter_config.json", "{}");
  EXPECT_EQ(
      refusal(),
      ": an adapter (adapter_config.json), not a whole model. Merge the adapter into its base model first");
}

TEST_F(OpenModel, RefusesAnArchitectureItDoesNotKnow) {
  config_["architectures"] = {"BertModel"};
  EXPECT_TRUE(refusal().starts_with("/config.json: architecture not supported: expected BloomForCausalLM"));
}

TEST_F(OpenModel, RefusesADirectoryWithoutAModel) {
  const auto message = [&](const std::filesystem::path& path) {
    return testing::message_of([&] { open_model(path); });
  };
  const std::string at = directory_.path().string();
  EXPECT_EQ(message(at), at + ": no config.json. Give the directory that holds config.json and the weights");
  EXPECT_EQ(
      message(at + "/no"),
      at + "/no: there is no such directory. Give the directory that holds config.json and the weights");
  testing::write_file(directory_ / "config.json", "{");
  EXPECT_EQ(message(at + "/config.json"),
            at + "/config.json: not a directory. Give the directory that holds config.json and the weights, "
                 "or a file of llama2.c, whose name ends in .bin");
  EXPECT_NE(message(at).find("config.json: not valid JSON"), std::string::npos);
  testing::write_file(directory_ / "config.json", "[]");
  EXPECT_NE(message(at).find("lacks 'architectures'"), std::string::npos);
  std::string nested = R"({"architectures": [)";
  for (int i = 0; i < 200'000; ++i) nested += '[';
  testing::write_file(directory_ / "config.json", nested);
  EXPECT_EQ(message(at), at + "/config.json: JSON nested deeper than 100 levels");
  std::filesystem::remove(directory_ / "config.json");
  std::filesystem::create_symlink("nowhere", directory_ / "config.json");
  EXPECT_EQ(message(at),
            at + ": config.json is a link to a file that is not there. Give the directory that holds "
                 "config.json and the weights");
}

}  // namespace
}  // namespace regroup::family
