// What a refit is given to work on, and when its result counts.
#include "convert/refit.h"

#include <gtest/gtest.h>

#include <functional>

#include "convert/calibrated_merge.h"
#include "core/base/random.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_llama.h"

namespace regroup::convert {
namespace {

using family::Part;

const testing::TinyLlama kShape{
    .layers = 3, .hidden = 16, .heads = 4, .kv_heads = 4, .head_dim = 4, .ffn = 24, .vocab = 40};

// A row's function is a plain pointer: it calls what the test has put here.
std::function<AttentionLayer(const RefitProblem&, const AttentionLayer&)> fit;  // NOLINT: one test at a time
constexpr Refit kProbe{
    .name = "probe",
    .summary = "",
    .passes = 0,
    .reads_source = true,
    .fit = [](const RefitProblem& problem, const AttentionLayer& student) { return fit(problem, student); }};

class RefitProbe : public ::testing::Test {
 protected:
  void SetUp() override {
    testing::write_tiny_llama(kShape, folder_ / "source");
    model_.emplace(family::open_model(folder_ / "source"));
    text_.tokens_WT = at::empty({12, 32}, at::kLong);
    RandomStream stream(4, "ids");
    for (std::int64_t i = 0; i < text_.tokens_WT.numel(); ++i)
      text_.tokens_WT.mutable_data_ptr<std::int64_t>()[i] = static_cast<std::int64_t>(stream.below(40));
  }

  CalibrationRecipe recipe(const char* method = "optimal") const {
    return {.merge = {.method = &merge_method(method), .groups = 2, .layers = 3}, .refits = {&kProbe}};
  }

  MergedLayers merge(const CalibrationRecipe& recipe) {
    std::filesystem::remove_all(folder_ / "work");
    return merged_from_tokens(*model_, recipe, text_, folder_ / "work");
  }

  at::Tensor part(MergedLayers& layers, Part part, std::int64_t layer) {
    return layers.merged(*model_->find(part, layer));
  }

  testing::TempDir folder_;
  std::optional<family::ModelDirectory> model_;
  CalibrationTokens text_{.tokens_WT = {}, .held_out = 2, .origin = ""};
};

AttentionLayer with_output_times(double factor, const AttentionLayer& student) {
  AttentionLayer changed = student;
  changed.o_MHD = student.o_MHD * factor;
  return changed;
}

TEST_F(RefitProbe, WhatDoesNotHelpIsNotTaken) {
  CalibrationRecipe none = recipe();
  none.refits.clear();
  MergedLayers plain = merge(none);
  const at::Tensor expected = part(plain, Part::kOutputWeight, 2);
  fit = [](const RefitProblem&, const AttentionLayer& student) { return with_output_times(9, student); };
  MergedLayers harmed = merge(recipe());
  EXPECT_TRUE(at::equal(part(harmed, Part::kOutputWeight, 2), expected));
  fit = [](const RefitProblem&, const AttentionLayer& student) { return with_output_times(0.9, student); };
  MergedLayers helped = merge(recipe());
  EXPECT_FALSE(at::equal(part(helped, Part::kOutputWeight, 2), expected));
}

// With what the student's stream has become, the target leads to what the source's stream is after attention:
// what earlier merges lost is made up for, whatever it was.
TEST_F(RefitProbe, TheTargetMakesUpForWhatTheStreamHasLost) {
  const auto after_attention = [&](const char* method) {
    std::vector<at::Tensor> sums, streams;
    fit = [&](const RefitProblem& problem, const AttentionLayer& student) {
      sums.push_back(problem.student_stream_WTM + problem.target_WTM);
      streams.push_back(problem.student_stream_WTM.clone());
      return student;
    };
    merge(recipe(method));
    return std::pair{sums, streams};
  };
  const auto [sums, streams] = after_attention("optimal");
  const auto [other_sums, other_streams] = after_attention("first");
  ASSERT_EQ(sums.size(), 3);
  for (std::size_t layer = 0; layer < 3; ++layer) {
    EXPECT_TRUE(at::allclose(sums[layer], other_sums[layer], 1e-4, 1e-4)) << layer;
    EXPECT_EQ(at::allclose(streams[layer], other_streams[layer], 1e-2, 1e-2), layer == 0);
  }
}

TEST_F(RefitProbe, LaterLayersSeeTheRoundingOfEarlierOnes) {
  std::vector<at::Tensor> streams;
  fit = [&](const RefitProblem& problem, const AttentionLayer& student) {
    streams.push_back(problem.student_stream_WTM.clone());
    return student;
  };
  CalibrationRecipe rounded = recipe();
  rounded.dtype = checkpoint::DType::kBF16;
  MergedLayers half = merge(rounded);
  const at::Tensor key = part(half, Part::kKeyWeight, 0);
  EXPECT_TRUE(at::equal(key, key.to(at::kBFloat16).to(key.scalar_type())));
  merge(recipe());
  ASSERT_EQ(streams.size(), 6);
  EXPECT_TRUE(at::equal(streams[0], streams[3]));
  EXPECT_FALSE(at::equal(streams[1], streams[4]));
  EXPECT_LT((streams[1] - streams[4]).abs().max().item<double>(), 0.05);
}

TEST_F(RefitProbe, TheSourcesHeadsAreInTheStudentsOrder) {
  CalibrationRecipe crossed = recipe("first");
  crossed.merge.given.assign(3, Grouping{{0, 2}, {1, 3}});
  int layers = 0;
  fit = [&](const RefitProblem& problem, const AttentionLayer& student) {
    const AttentionLayer source = read_attention(*model_, problem.layer, true);
    const at::Tensor order = at::tensor({0, 2, 1, 3}, at::kLong);
    EXPECT_TRUE(at::equal(problem.source.q_HDN, source.q_HDN.index_select(0, order)));
    EXPECT_TRUE(at::equal(problem.source.k_KDN, source.k_KDN.index_select(0, order)));
    EXPECT_TRUE(at::equal(student.q_HDN, problem.source.q_HDN)) << "first turns nothing";
    layers += 1;
    return student;
  };
  merge(crossed);
  EXPECT_EQ(layers, 3);
}

}  // namespace
}  // namespace regroup::convert
