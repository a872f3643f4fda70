// What a conversion without text goes by: tokens that are drawn, and when none are.
#include <gtest/gtest.h>

#include <limits>

#include "convert/calibration.h"
#include "convert/convert.h"
#include "core/base/file.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_llama.h"

namespace regroup::convert {
namespace {

using testing::TempDir;
using testing::TinyLlama;
using testing::user_error_of;

const TinyLlama kShape{
    .layers = 2, .hidden = 16, .heads = 4, .kv_heads = 4, .head_dim = 4, .ffn = 24, .vocab = 40};

class DrawnCalibration : public ::testing::Test {
 protected:
  void SetUp() override { testing::write_tiny_llama(kShape, folder_ / "source"); }

  at::Tensor drawn(std::uint64_t seed, std::int64_t tokens) const {
    return draw_calibration(family::open_model(folder_ / "source"), {.tokens = tokens}, "cpu", seed)
        .tokens_WT;
  }

  ConvertOptions options(const std::string& out) const {
    return {.model = folder_ / "source",
            .output = folder_ / out,
            .plan = {.kv_heads = 2},
            .calibration = {.tokens = 64 * 4}};
  }

  Json result(const ConvertOptions& options) const {
    convert(options, Json::object());
    return read_json(options.output / "regroup.json")["result"];
  }

  TempDir folder_;
};

std::string weights_in(const std::filesystem::path& directory) {
  return read_text(directory / "model.safetensors");
}

TEST_F(DrawnCalibration, IsDeterminedByTheSeed) {
  const at::Tensor ids_WT = drawn(0, 64 * 10);
  ASSERT_EQ(ids_WT.sizes(), at::IntArrayRef({10, 64}));
  EXPECT_TRUE(at::equal(drawn(0, 64 * 10), ids_WT));
  EXPECT_FALSE(at::equal(drawn(1, 64 * 10), ids_WT));
}

TEST_F(DrawnCalibration, HiddenStatesOnDiskChangeNoToken) {
  ::testing::internal::CaptureStderr();
  const at::Tensor ids_WT =
      draw_calibration(family::open_model(folder_ / "source"), {.tokens = 64 * 10, .memory = 1}, "cpu", 0)
          .tokens_WT;
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_CONTAINS(said, "hidden states of 40");
  EXPECT_TRUE(at::equal(ids_WT, drawn(0, 64 * 10)));
}

TEST_F(DrawnCalibration, IsWhatAConversionWithoutTextGoesBy) {
  const Json record = result(options("drawn"))["calibration"];
  EXPECT_CONTAINS(record["origin"].get<std::string>(), "drawn at random");
  EXPECT_EQ(record["windows"], 4);
  EXPECT_EQ(record["held_out_windows"], 1);
  EXPECT_CONTAINS(read_text(folder_ / "drawn/REGROUP.md"), "4 windows of 64 tokens: drawn at random");

  ConvertOptions weights = options("weights");
  weights.calibration = {.weights_only = true};
  EXPECT_FALSE(result(weights).contains("calibration"));
  EXPECT_NE(weights_in(folder_ / "drawn"), weights_in(folder_ / "weights"));
  EXPECT_CONTAINS(describe(options("plan")), "from weights and tokens drawn at random");
  EXPECT_CONTAINS(describe(weights), "from weights alone");
}

TEST_F(DrawnCalibration, IsAsManyTokensAsSaidWithoutANumber) {
  ConvertOptions plain = options("plain");
  plain.calibration = {};
  plain.plan.refit = "none";
  EXPECT_EQ(result(plain)["calibration"]["windows"], kCalibrationTokens / 64);
}

TEST_F(DrawnCalibration, NothingIsDrawnWhereNothingDependsOnIt) {
  ConvertOptions mean = options("mean");
  mean.plan.method = "mean";
  EXPECT_CONTAINS(user_error_of([&] { result(mean); }),
                  "--calibration-tokens: method mean looks at no tokens here");
  EXPECT_CONTAINS(user_error_of([&] { describe(mean); }), "--calibration-tokens");
  mean.calibration.tokens = 0;
  EXPECT_FALSE(result(mean).contains("calibration"));
  mean.plan.grouping = "cost";
  mean.calibration.tokens = 64 * 4;
  mean.output = folder_ / "by cost";
  EXPECT_TRUE(result(mean).contains("calibration")) << "groups depend on it";
  ConvertOptions refitted = options("refitted");
  refitted.plan.method = "mean";
  refitted.plan.refit = "ridge";
  EXPECT_EQ(result(refitted)["refits"].size(), 2u) << "layers";
  ConvertOptions same = options("same");
  same.plan.kv_heads = kShape.kv_heads;
  same.calibration.tokens = 0;
  EXPECT_FALSE(result(same).contains("calibration"));
}

TEST_F(DrawnCalibration, ExcludesWhatContradictsIt) {
  ConvertOptions both = options("out");
  both.calibration = {.generate = true, .weights_only = true};
  EXPECT_CONTAINS(user_error_of([&] { describe(both); }), "--weights-only");
  both.calibration = {.files = {folder_ / "text"}, .weights_only = true};
  EXPECT_CONTAINS(user_error_of([&] { describe(both); }), "found --calibration too");
  EXPECT_CONTAINS(user_error_of([&] { drawn(0, 127); }), "expected at least 128, found 127");
  for (const std::int64_t many : {std::int64_t{1'000'000'000'000}, std::numeric_limits<std::int64_t>::max()})
    EXPECT_CONTAINS(user_error_of([&] { drawn(0, many); }),
                    "--calibration-tokens: more than memory can hold: expected at most");
}

double chi_square(const at::Tensor& ids, const at::Tensor& probability_V) {
  const at::Tensor counts_V = at::bincount(ids.flatten(), {}, kShape.vocab).to(at::kDouble),
                   wanted_V = probability_V * ids.numel();
  return ((counts_V - wanted_V).square() / wanted_V).sum().item<double>();
}

// A model whose next token depends on the last alone is a Markov chain. Odd positions have taken one step of
// it from what is drawn first, even ones two.
TEST_F(DrawnCalibration, FollowsWhatTheModelExpects) {
  auto tensors = testing::tiny_llama_tensors(kShape);
  for (auto& [name, tensor] : tensors)
    if (name.find("o_proj") != std::string::npos || name.find("down_proj") != std::string::npos)
      tensor.zero_();
  testing::write_llama(kShape, tensors, folder_ / "chain");
  const at::Tensor ids_WT =
      draw_calibration(family::open_model(folder_ / "chain"), {.tokens = 64 * 600}, "cpu", 0).tokens_WT;
  const at::Tensor token_VM = tensors.at("model.embed_tokens.weight");
  const at::Tensor normed_VM =
      token_VM / token_VM.square().mean(-1, true).add(1e-6).sqrt() * tensors.at("model.norm.weight");
  const at::Tensor step_VV = at::linear(normed_VM, tensors.at("lm_head.weight")).softmax(-1).to(at::kDouble);
  at::Tensor first_V = 1 / (at::arange(kShape.vocab, at::kDouble) + 27);
  first_V = first_V / first_V.sum();
  const at::Tensor once_V = at::matmul(first_V, step_VV), twice_V = at::matmul(once_V, step_VV);
  const at::Tensor odd = ids_WT.slice(1, 1, 64, 2), even = ids_WT.slice(1, 2, 64, 2);
  constexpr double kFar = 80;  // by chance beyond it once in 8,000 times, of 39 degrees of freedom
  EXPECT_LT(chi_square(odd, once_V), kFar);
  EXPECT_LT(chi_square(even, twice_V), kFar);
  EXPECT_GT(chi_square(odd, first_V), 3 * kFar) << "the model has its say";
  EXPECT_LT(chi_square(ids_WT.select(1, 0), first_V), kFar);
  // What follows one token is what the model expects after it.
  const at::Tensor common = once_V.argmax(), after = ids_WT.slice(1, 2, 64, 2), before = odd.slice(1, 0, 31);
  EXPECT_LT(chi_square(after.masked_select(before == common), step_VV[common.item<std::int64_t>()]), kFar);
}

}  // namespace
}  // namespace regroup::convert
