// Merging by text: what options change and what they must not.
#include "convert/calibrated_merge.h"

#include <gtest/gtest.h>

#include "convert/convert.h"
#include "core/base/file.h"
#include "tests/convert/calibrated_fixture.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_llama.h"
#include "tests/support/token_file.h"

namespace regroup::convert {
namespace {

using testing::user_error_of;

TEST_F(CalibratedMerge, TheSameTextGivesTheSameBytesAndOtherTextOthers) {
  const std::string first = weights_in(run(options("a")));
  EXPECT_EQ(weights_in(run(options("b"))), first);
  ConvertOptions other = options("c");
  other.seed = 1;
  EXPECT_NE(weights_in(run(other)), first) << "the seed chooses the windows";
  EXPECT_FALSE(fs::exists(folder_ / ".a.layers")) << "nothing is left beside a finished output";
}

TEST_F(CalibratedMerge, EveryRefitLowersTheErrorItIsJudgedBy) {
  for (const Refit& refit : refits()) {
    ConvertOptions one = options(std::string(refit.name));
    one.plan.refit = refit.name;
    const Json record = read_json(run(one) / "regroup.json")["result"]["refits"];
    ASSERT_EQ(record.size(), 3u);
    double before = 0, after = 0;
    for (const Json& layer : record) {
      ASSERT_EQ(layer.size(), 1u);
      EXPECT_EQ(layer[0]["name"], refit.name);
      EXPECT_EQ(layer[0]["accepted"], layer[0]["held_out_error_after"] < layer[0]["held_out_error_before"]);
      before += layer[0]["held_out_error_before"].get<double>();
      after += std::min(layer[0]["held_out_error_after"].get<double>(),
                        layer[0]["held_out_error_before"].get<double>());
    }
    EXPECT_LT(after, 0.999 * before) << refit.name;
  }
}

// Token 0 stands first in every window and nowhere else: left out of the statistics, it may mean anything to
// the first layer.
TEST_F(CalibratedMerge, TheFirstPositionCountsAsMuchAsAskedFor) {
  CalibrationTokens text{.tokens_WT = at::empty({8, 32}, at::kLong), .held_out = 1, .origin = ""};
  RandomStream stream(4, "ids");
  for (std::int64_t i = 0; i < text.tokens_WT.numel(); ++i)
    text.tokens_WT.mutable_data_ptr<std::int64_t>()[i] = 1 + static_cast<std::int64_t>(stream.below(39));
  text.tokens_WT.select(1, 0).fill_(0);
  const auto first_key = [&](double weight, bool other_meaning) {
    auto tensors = testing::tiny_llama_tensors(kShape);
    at::Tensor& table = tensors.at("model.embed_tokens.weight");
    if (other_meaning) table[0].copy_(table[0].flip(0));
    fs::remove_all(folder_ / "source");
    testing::write_llama(kShape, tensors, folder_ / "source");
    const auto model = family::open_model(folder_ / "source");
    CalibrationRecipe recipe{.merge = {.method = &merge_method("optimal"), .groups = 2, .layers = 3}};
    recipe.options.first_position_weight = weight;
    fs::remove_all(folder_ / "work");
    return merged_from_tokens(model, recipe, text, folder_ / "work")
        .merged(*model.find(family::Part::kKeyWeight, 0));
  };
  EXPECT_TRUE(at::equal(first_key(0, false), first_key(0, true)));
  EXPECT_FALSE(at::equal(first_key(1, false), first_key(1, true)));
  EXPECT_FALSE(at::equal(first_key(0.5, false), first_key(1, false)));
}

TEST_F(CalibratedMerge, StatisticsDoNotSeeTheWindowsThatDecide) {
  CalibrationTokens text{.tokens_WT = at::empty({8, 32}, at::kLong), .held_out = 2, .origin = ""};
  RandomStream stream(4, "ids");
  for (std::int64_t i = 0; i < text.tokens_WT.numel(); ++i)
    text.tokens_WT.mutable_data_ptr<std::int64_t>()[i] = static_cast<std::int64_t>(stream.below(40));
  const auto model = family::open_model(folder_ / "source");
  const auto first_key = [&](const CalibrationTokens& seen) {
    fs::remove_all(folder_ / "work");
    return merged_from_tokens(model,
                              {.merge = {.method = &merge_method("optimal"), .groups = 2, .layers = 3}}, seen,
                              folder_ / "work")
        .merged(*model.find(family::Part::kKeyWeight, 0));
  };
  const at::Tensor key = first_key(text);
  CalibrationTokens other = text;
  other.tokens_WT = text.tokens_WT.clone();
  other.tokens_WT.narrow(0, 6, 2).fill_(3);
  EXPECT_TRUE(at::equal(first_key(other), key));
  other.tokens_WT[5].fill_(3);
  EXPECT_FALSE(at::equal(first_key(other), key));
}

TEST_F(CalibratedMerge, WhatLeavesATypesRangeIsSaid) {
  const auto with = [&](const std::string& name, double factor) {
    auto tensors = testing::tiny_llama_tensors(kShape);
    tensors.at(name) *= factor;
    fs::remove_all(folder_ / "large");
    testing::write_llama(kShape, tensors, folder_ / "large");
    ConvertOptions large = options("out");
    large.model = folder_ / "large";
    return large;
  };
  ConvertOptions narrow = with("model.layers.1.self_attn.v_proj.weight", 1e6);
  narrow.plan.dtype = checkpoint::DType::kF16;
  EXPECT_CONTAINS(user_error_of([&] { run(narrow); }), "layer 1, merged: does not fit F16");
  const ConvertOptions beyond = with("model.layers.0.mlp.down_proj.weight", 1e38);
  EXPECT_CONTAINS(user_error_of([&] { run(beyond); }), "hidden states leave float32's range before layer 1");
}

TEST_F(CalibratedMerge, EveryMethodCanBeCalibratedAndRefitted) {
  for (const MergeMethod& method : merge_methods()) {
    ConvertOptions one = options(std::string(method.name));
    one.plan.method = method.name;
    one.plan.refit = "ridge";
    const Json result = read_json(run(one) / "regroup.json")["result"];
    EXPECT_EQ(result["refits"].size(), 3u) << method.name;
    EXPECT_EQ(result["method"], method.name);
  }
}

// The tiny model with a token that documents start with.
class GeneratedCalibration : public CalibratedMerge {
 protected:
  void SetUp() override {
    CalibratedMerge::SetUp();
    set("bos_token_id", 1);
  }

  void set(const std::string& key, const Json& value) const {
    Json config = read_json(folder_ / "source/config.json");
    config[key] = value;
    fs::remove(folder_ / "source/config.json");
    write_text(folder_ / "source/config.json", to_text(config));
  }

  ConvertOptions generating(const std::string& out, std::uint64_t seed = 0) const {
    ConvertOptions result = options(out);
    result.calibration = {.generate = true, .tokens = 64 * 20};
    result.seed = seed;
    return result;
  }

  at::Tensor text(std::uint64_t seed, std::int64_t tokens = 64 * 20) const {
    return generate_calibration(family::open_model(folder_ / "source"), {.generate = true, .tokens = tokens},
                                "cpu", seed)
        .tokens_WT;
  }
};

TEST_F(GeneratedCalibration, IsDeterminedByTheSeedAndRecorded) {
  const std::string first = weights_in(run(generating("a")));
  EXPECT_EQ(weights_in(run(generating("b"))), first);
  EXPECT_NE(weights_in(run(generating("c", 7))), first);
  const Json record = read_json(folder_ / "c/regroup.json")["result"]["calibration"];
  EXPECT_CONTAINS(record["origin"].get<std::string>(), "written by the source itself");
  EXPECT_CONTAINS(record["origin"].get<std::string>(), "seed 7");
  EXPECT_EQ(record["windows"], 20);
  EXPECT_EQ(record["tokens_of_a_window"], 64);
  EXPECT_EQ(record["held_out_windows"], 2);
  EXPECT_CONTAINS(read_text(folder_ / "c/REGROUP.md"),
                  "20 windows of 64 tokens: written by the source itself");
}

TEST_F(GeneratedCalibration, EveryWindowIsATextOfItsOwn) {
  const at::Tensor text_WT = text(0);
  ASSERT_EQ(text_WT.sizes(), at::IntArrayRef({20, 64}));
  EXPECT_TRUE(text_WT.select(1, 0).eq(1).all().item<bool>());
  for (std::int64_t i = 0; i < 20; ++i)
    for (std::int64_t j = 0; j < i; ++j) EXPECT_FALSE(at::equal(text_WT[i], text_WT[j])) << i << ' ' << j;
  EXPECT_TRUE(at::equal(text(0, 64 * 10), text_WT.narrow(0, 0, 10))) << "more windows change none";
}

// A model whose next token depends on the last alone: pairs must come as often as it says.
TEST_F(GeneratedCalibration, IsDrawnFromTheModelsOwnDistribution) {
  auto tensors = testing::tiny_llama_tensors(kShape);
  for (auto& [name, tensor] : tensors)
    if (name.find("o_proj") != std::string::npos || name.find("down_proj") != std::string::npos)
      tensor.zero_();
  testing::write_llama(kShape, tensors, folder_ / "other");
  fs::copy_file(folder_ / "source/config.json", folder_ / "other/config.json",
                fs::copy_options::overwrite_existing);
  const auto model = family::open_model(folder_ / "other");
  const at::Tensor text_WT =
      generate_calibration(model, {.generate = true, .tokens = 64 * 400}, "cpu", 0).tokens_WT;
  const at::Tensor token_VM = tensors.at("model.embed_tokens.weight");
  const at::Tensor normed_VM =
      token_VM / token_VM.square().mean(-1, true).add(1e-6).sqrt() * tensors.at("model.norm.weight");
  const at::Tensor expected_VV =
      at::linear(normed_VM, tensors.at("lm_head.weight")).softmax(-1).to(at::kDouble);
  at::Tensor counts_VV = at::zeros({kShape.vocab, kShape.vocab}, at::kDouble);
  const at::Tensor from = text_WT.narrow(1, 0, 63).flatten(), to = text_WT.narrow(1, 1, 63).flatten();
  counts_VV.index_put_({from, to}, at::ones({from.size(0)}, at::kDouble), /*accumulate=*/true);
  const at::Tensor wanted_VV = counts_VV.sum(1, true) * expected_VV;
  const double chi_square = ((counts_VV - wanted_VV).square() / wanted_VV.clamp_min(1e-9))
                                .masked_fill(wanted_VV < 5, 0)
                                .sum()
                                .item<double>();
  const double cells = wanted_VV.ge(5).sum().item<double>();
  ASSERT_GT(cells, 200);
  EXPECT_LT(chi_square, cells + 5 * std::sqrt(2 * cells));
}

TEST_F(GeneratedCalibration, DocumentsStartWithWhatTheConfigurationNames) {
  set("bos_token_id", nullptr);
  set("eos_token_id", 5);
  EXPECT_TRUE(text(0).select(1, 0).eq(5).all().item<bool>());
  set("eos_token_id", nullptr);
  EXPECT_CONTAINS(user_error_of([&] { text(0); }), "Set bos_token_id in config.json");
}

TEST_F(GeneratedCalibration, RefusesWhatItCannotDo) {
  ConvertOptions both = generating("out");
  both.calibration.files = {folder_ / "tokens"};
  const std::string message =
      "--generate-calibration: either the model writes the text, or you give it: found --calibration too. "
      "Leave one of them out";
  EXPECT_EQ(user_error_of([&] { run(both); }), message);
  EXPECT_EQ(user_error_of([&] { describe(both); }), message);
  EXPECT_CONTAINS(user_error_of([&] { text(0, 64); }),
                  "--calibration-tokens: too few: expected at least 128, found 64");
  ConvertOptions tight = generating("out");
  tight.calibration.memory = 1000;
  const std::string memory = user_error_of([&] { run(tight); });
  EXPECT_CONTAINS(memory, "the whole model does not fit into memory to write text: expected at most 1000 B");
  EXPECT_CONTAINS(memory, "Give text with --calibration");
  EXPECT_FALSE(fs::exists(folder_ / "out"));
}

TEST_F(CalibratedMerge, AMergeFromWeightsSaysThatTextWouldLoseLess) {
  ConvertOptions without = options("out");
  EXPECT_EQ(convert(without, Json::object()).find("loses less"), std::string::npos);
  without.overwrite = true;
  without.calibration = {.tokens = 64 * 20};
  EXPECT_CONTAINS(convert(without, Json::object()), "--generate-calibration");
  without.plan.kv_heads = kShape.kv_heads;
  without.calibration = {};
  EXPECT_EQ(convert(without, Json::object()).find("loses less"), std::string::npos) << "nothing is lost";
}

TEST_F(CalibratedMerge, ARefitFromWeightsAloneIsRefused) {
  ConvertOptions without = options("out");
  without.calibration = {.weights_only = true};
  without.plan.refit = "ridge";
  EXPECT_CONTAINS(user_error_of([&] { run(without); }), "--refit: a refit looks at what the model makes of");
  EXPECT_FALSE(fs::exists(folder_ / "out"));
}

TEST_F(CalibratedMerge, AnUnknownRefitListsTheNames) {
  ConvertOptions wrong = options("out");
  wrong.plan.refit = "ridge,polish";
  const std::string text = user_error_of([&] { run(wrong); });
  EXPECT_CONTAINS(text, "scale, query, ridge, reconstruct");
  EXPECT_CONTAINS(text, "'polish'");
}

TEST_F(CalibratedMerge, TooLittleTextIsRefusedAndNothingIsLeft) {
  testing::write_random_tokens(folder_ / "few", 100, kShape.vocab);
  ConvertOptions little = options("out");
  little.calibration.files = {folder_ / "few"};
  const std::string text = user_error_of([&] { run(little); });
  EXPECT_CONTAINS(text, (folder_ / "few").string());
  EXPECT_CONTAINS(text, "too little text");
  for (const auto& entry : fs::directory_iterator(folder_.path()))
    EXPECT_EQ(entry.path().filename().string().find("out"), std::string::npos) << entry;
}

}  // namespace
}  // namespace regroup::convert
