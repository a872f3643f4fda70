// Documents that share a window are as if each were run alone: hidden states and gradients, for every family.
#include "core/model/documents.h"

#include <c10/core/GradMode.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <filesystem>

#include "core/base/error.h"
#include "core/model/decoder.h"
#include "tests/support/family_model.h"
#include "tests/support/random_model.h"

namespace regroup::model {
namespace {

using family::Positions;
using family::RopeScaling;

double distance(const at::Tensor& a, const at::Tensor& b) {
  return (a - b).abs().max().item<double>();
}

const DocumentPieces kDocuments = {{5, 1, 6}, {12}, {12}, {3, 9}};

// Each document of a batch in a call of its own.
at::Tensor run_alone(const Decoder& decoder, const at::Tensor& ids_BT, const DocumentPieces& documents) {
  std::vector<at::Tensor> rows;
  for (std::size_t row = 0; row < documents.size(); ++row) {
    std::vector<at::Tensor> parts;
    std::int64_t begin = 0;
    for (const std::int64_t piece : documents[row]) {
      const at::Tensor ids_1T = ids_BT.narrow(0, static_cast<std::int64_t>(row), 1).narrow(1, begin, piece);
      parts.push_back(decoder.hidden_states(ids_1T));
      begin += piece;
    }
    rows.push_back(at::cat(parts, 1));
  }
  return at::cat(rows, 0);
}

family::ModelDirectory golden(const std::string& name) {
  return family::open_model(testing::family_golden(name));
}

class Documents : public ::testing::TestWithParam<std::string> {};

TEST_P(Documents, AreAsIfRunAlone) {
  const c10::NoGradGuard no_grad;
  const family::ModelDirectory model = golden(GetParam());
  if (model.config.rope.scaling == RopeScaling::kDynamic ||
      model.config.rope.scaling == RopeScaling::kLongRope)
    GTEST_SKIP() << "its frequencies change with the length of the text";
  const Decoder decoder(model.config, load_weights(model, at::kDouble, at::kCPU));
  const at::Tensor ids_BT = testing::random_tokens(model.config, 4, 12);
  const at::Tensor masked = decoder.hidden_states(ids_BT, nullptr, &kDocuments);
  EXPECT_LE(distance(masked, run_alone(decoder, ids_BT, kDocuments)), 1e-10);
  EXPECT_GT(distance(masked, decoder.hidden_states(ids_BT)), 1e-4) << "documents make a difference";
}

INSTANTIATE_TEST_SUITE_P(Families, Documents, ::testing::ValuesIn(testing::family_goldens()),
                         [](const auto& golden) {
                           std::string name = golden.param;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

void expect_gradients_of_documents_alone(const std::string& name) {
  const family::ModelDirectory model = golden(name);
  Weights weights = load_weights(model, at::kDouble, at::kCPU);
  std::vector<at::Tensor> leaves;
  for (auto& [key, weight] : weights) leaves.push_back(weight = weight.clone().requires_grad_(true));
  const Decoder decoder(model.config, weights);
  const at::Tensor ids_BT = testing::random_tokens(model.config, 4, 12);
  const auto gradients = [&](const at::Tensor& hidden_BTM) {
    const at::Tensor mix = at::sin(at::arange(hidden_BTM.numel(), at::kDouble)).view_as(hidden_BTM);
    return torch::autograd::grad({(hidden_BTM * mix).sum()}, leaves, {}, {}, false, /*allow_unused=*/true);
  };
  const auto masked = gradients(decoder.hidden_states(ids_BT, nullptr, &kDocuments)),
             alone = gradients(run_alone(decoder, ids_BT, kDocuments));
  int compared = 0;
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    ASSERT_EQ(masked[i].defined(), alone[i].defined());
    if (!masked[i].defined()) continue;  // the output projection
    EXPECT_LE(distance(masked[i], alone[i]), 1e-10 * (1 + alone[i].abs().max().item<double>())) << name;
    ++compared;
  }
  EXPECT_GT(compared, 10);
}

TEST(DocumentGradients, AreThoseOfDocumentsAlone) {
  EXPECT_EQ(golden("stablelm-gqa").config.positions, Positions::kRotary);
  EXPECT_EQ(golden("bloom-plain").config.positions, Positions::kAlibi);
  EXPECT_EQ(golden("gpt2-plain").config.positions, Positions::kLearned);
  const auto windows = golden("starcoder2-sliding").config.windows;
  EXPECT_LT(std::ranges::min(windows), 9) << "shorter than the longest documents";
  for (const char* name : {"stablelm-gqa", "bloom-plain", "gpt2-plain", "starcoder2-sliding"})
    expect_gradients_of_documents_alone(name);
}

// The way of training in bfloat16, whose attention is another kernel.
TEST(DocumentsOfAWindow, InBfloat16StayNearTheExactOnes) {
  const family::ModelConfig config = testing::small_config();
  const at::Tensor ids_BT = testing::random_tokens(config, 2, 40);
  const DocumentPieces documents = {{17, 23}, {40}};
  Weights rounded = testing::random_weights(config, 0, at::kBFloat16), exact;
  for (auto& [key, weight] : rounded) {
    exact[key] = weight.to(at::kDouble).requires_grad_(true);
    weight.requires_grad_(true);
  }
  const at::Tensor reference = run_alone(Decoder(config, exact), ids_BT, documents);
  const at::Tensor hidden = Decoder(config, rounded).hidden_states(ids_BT, nullptr, &documents);
  EXPECT_LT(distance(hidden.to(at::kDouble), reference), 0.05 * reference.abs().max().item<double>());

  const at::Tensor mix = at::sin(at::arange(reference.numel(), at::kDouble)).view_as(reference);
  (reference * mix).sum().backward();
  hidden.backward(mix.to(at::kBFloat16));
  for (const family::Part part :
       {family::Part::kQueryWeight, family::Part::kKeyWeight, family::Part::kValueWeight}) {
    const at::Tensor wanted = exact.at({part, 0}).grad(),
                     found = rounded.at({part, 0}).grad().to(at::kDouble);
    EXPECT_LT((found - wanted).norm().item<double>(), 0.05 * wanted.norm().item<double>())
        << static_cast<int>(part);
  }
}

TEST(DocumentsOfAWindow, ThatDoNotFillTheirRowAreABug) {
  const family::ModelConfig config = testing::small_config();
  const Decoder decoder(config, testing::random_weights(config));
  const at::Tensor ids_BT = testing::random_tokens(config, 1, 4);
  for (const DocumentPieces& wrong : {DocumentPieces{{4}, {4}}, DocumentPieces{{3}}, DocumentPieces{{5, -1}}})
    EXPECT_THROW(decoder.hidden_states(ids_BT, nullptr, &wrong), InternalError);
  KvCache cache(config, 1, 4, at::kDouble);
  const DocumentPieces documents = {{2, 2}};
  EXPECT_THROW(decoder.hidden_states(ids_BT, &cache, &documents), InternalError);
}

}  // namespace
}  // namespace regroup::model
