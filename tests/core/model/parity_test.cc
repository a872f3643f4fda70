// Our logits against those of HF transformers, for every variation of a Llama checkpoint. How the goldens
// came to be: tests/goldens/llama/README.md.
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "core/model/decoder.h"
#include "tests/support/tensor_file.h"

namespace regroup::model {
namespace {

namespace fs = std::filesystem;
using testing::NamedTensors;

const fs::path kGoldens = fs::path(REGROUP_SOURCE_DIR) / "tests/goldens/llama";

const std::set<std::string> kVariations = {"untied",
                                           "tied",
                                           "tied_stored_twice",
                                           "attention_bias",
                                           "mlp_bias",
                                           "attention_bias_gqa_bf16",
                                           "head_dim",
                                           "gqa",
                                           "mqa",
                                           "kv_heads_absent",
                                           "least_keys",
                                           "rope_theta_at_the_top",
                                           "rope_parameters",
                                           "rope_linear",
                                           "rope_llama3",
                                           "rope_llama3_parameters",
                                           "inv_freq_buffers",
                                           "fp16",
                                           "bf16",
                                           "sharded"};

double distance(const at::Tensor& a, const at::Tensor& b) {
  return (a - b).abs().max().item<double>();
}

at::Tensor logits(const family::ModelDirectory& model, const at::Tensor& ids_BT, at::ScalarType type) {
  const c10::NoGradGuard no_grad;
  const Decoder decoder(model.config, load_weights(model, type, at::kCPU));
  return decoder.logits(decoder.hidden_states(ids_BT));
}

// `columns`: the part of the vocabulary that the golden holds; undefined: all of it.
void expect_parity(const fs::path& checkpoint, const NamedTensors& golden) {
  const family::ModelDirectory model = family::open_model(checkpoint);
  const auto ours = [&](at::ScalarType type) {
    const at::Tensor all = logits(model, golden.at("ids"), type);
    return golden.contains("columns") ? all.index_select(-1, golden.at("columns")) : all;
  };
  const double fp32 = distance(ours(at::kFloat), golden.at("logits_fp32"));
  const double fp64 = distance(ours(at::kDouble), golden.at("logits_fp64"));
  EXPECT_LE(fp32, 1e-4);
  EXPECT_LE(fp64, 1e-10);
  std::printf("  %-40s fp32 %.1e  fp64 %.1e\n", checkpoint.filename().c_str(), fp32, fp64);
}

class Parity : public ::testing::TestWithParam<std::string> {};

TEST_P(Parity, LogitsAreThoseOfHf) {
  const fs::path directory = kGoldens / GetParam();
  expect_parity(directory, testing::read_tensor_file(directory / "expected.safetensors"));
}

INSTANTIATE_TEST_SUITE_P(Llama, Parity, ::testing::ValuesIn(kVariations),
                         [](const auto& variation) { return variation.param; });

TEST(ParityGoldens, EveryFolderIsTestedAndEveryVariationHasOne) {
  std::set<std::string> folders;
  for (const auto& entry : fs::directory_iterator(kGoldens))
    if (entry.is_directory()) folders.insert(entry.path().filename());
  EXPECT_TRUE(folders.erase("shared"));
  EXPECT_EQ(folders, kVariations);
}

class SharedParity : public ::testing::TestWithParam<std::string> {};

TEST_P(SharedParity, LogitsAreThoseOfHf) {
  const fs::path checkpoint = fs::path(REGROUP_SOURCE_DIR) / "../shared/models" / GetParam();
  if (!fs::exists(checkpoint)) GTEST_SKIP() << "there is no " << checkpoint;
  expect_parity(checkpoint,
                testing::read_tensor_file(kGoldens / "shared" / GetParam() / "expected.safetensors"));
}

INSTANTIATE_TEST_SUITE_P(Llama, SharedParity, ::testing::Values("kjv-mha", "books-mha"),
                         [](const auto& model) { return model.param.substr(0, model.param.find('-')); });

}  // namespace
}  // namespace regroup::model
