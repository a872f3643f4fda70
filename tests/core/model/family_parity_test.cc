// Our logits against those of HF transformers, for every family in every variation that changes its
// arithmetic. How the goldens came to be: tests/goldens/families/README.md.
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "core/model/decoder.h"
#include "tests/support/family_model.h"
#include "tests/support/tensor_file.h"

namespace regroup::model {
namespace {

namespace fs = std::filesystem;

class FamilyParity : public ::testing::TestWithParam<std::string> {};

TEST_P(FamilyParity, LogitsAreThoseOfHf) {
  const c10::NoGradGuard no_grad;
  const fs::path directory = testing::family_golden(GetParam());
  const auto golden = testing::read_tensor_file(directory / "expected.safetensors");
  const family::ModelDirectory model = family::open_model(directory);
  const Decoder decoder(model.config, load_weights(model, at::kFloat, at::kCPU));
  const at::Tensor logits = decoder.logits(decoder.hidden_states(golden.at("ids")));
  EXPECT_LE((logits - golden.at("logits_fp32")).abs().max().item<double>(), 1e-4);
}

TEST_P(FamilyParity, TheCacheChangesNothing) {
  const c10::NoGradGuard no_grad;
  const fs::path directory = testing::family_golden(GetParam());
  const at::Tensor ids_BT = testing::read_tensor_file(directory / "expected.safetensors").at("ids");
  const family::ModelDirectory model = family::open_model(directory);
  using family::RopeScaling;
  if (model.config.rope.scaling == RopeScaling::kDynamic ||
      model.config.rope.scaling == RopeScaling::kLongRope)
    GTEST_SKIP() << "its frequencies change with the length of the text";
  const Decoder decoder(model.config, load_weights(model, at::kDouble, at::kCPU));
  const at::Tensor whole = decoder.hidden_states(ids_BT);
  KvCache cache(model.config, ids_BT.size(0), ids_BT.size(1), at::kDouble);
  std::vector<at::Tensor> parts;
  std::int64_t begin = 0;
  for (const std::int64_t count : {5, 1, 4, 1, 1}) {
    parts.push_back(decoder.hidden_states(ids_BT.narrow(1, begin, count), &cache));
    begin += count;
  }
  EXPECT_LE((at::cat(parts, 1) - whole).abs().max().item<double>(), 1e-10);
}

INSTANTIATE_TEST_SUITE_P(Families, FamilyParity, ::testing::ValuesIn(testing::family_goldens()),
                         [](const auto& golden) {
                           std::string name = golden.param;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

TEST(FamilyParityGoldens, EveryFamilyHasThem) {
  std::set<std::string> families, with_goldens;
  for (const family::Family* family : family::families()) families.emplace(family->name);
  for (const std::string& name : testing::family_goldens())
    with_goldens.insert(name.substr(0, name.find('-')));
  EXPECT_EQ(with_goldens, families);
}

}  // namespace
}  // namespace regroup::model
