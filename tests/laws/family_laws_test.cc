// What holds for every family, whatever its layout and its arithmetic: over all checkpoints in
// tests/goldens/families and every number of groups.
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "convert/convert.h"
#include "convert/inspect_heads.h"
#include "convert/merge_method.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/random.h"
#include "core/family/home.h"
#include "core/model/decoder.h"
#include "core/model/layer_by_layer.h"
#include "tests/support/expect_error.h"
#include "tests/support/family_model.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tensor_file.h"
#include "tests/support/token_file.h"

namespace regroup {
namespace {

namespace fs = std::filesystem;

using checkpoint::DType;
using family::ModelConfig;
using family::ModelDirectory;
using testing::TempDir;

at::Tensor logits_of(const fs::path& directory, at::ScalarType type) {
  const c10::NoGradGuard no_grad;
  const ModelDirectory model = family::open_model(directory);
  const model::Decoder decoder(model.config, model::load_weights(model, type, at::kCPU));
  at::Tensor ids = at::empty({2, 14}, at::kLong);
  RandomStream stream(3, "ids");
  for (std::int64_t i = 0; i < ids.numel(); ++i)
    ids.mutable_data_ptr<std::int64_t>()[i] =
        static_cast<std::int64_t>(stream.below(static_cast<std::uint64_t>(model.config.vocab_size)));
  return decoder.logits(decoder.hidden_states(ids)).to(at::kDouble);
}

// Largest difference of logits in units of their standard deviation.
double difference(const at::Tensor& logits, const at::Tensor& expected) {
  return ((logits - expected).abs().max() / expected.std()).item<double>();
}

void convert_to(const fs::path& source, const fs::path& output, const convert::PlanOptions& plan,
                const convert::CalibrationOptions& calibration = {.weights_only = true}) {
  convert::convert({.model = source, .output = output, .plan = plan, .calibration = calibration},
                   Json::object());
}

class FamilyLaws : public ::testing::TestWithParam<std::string> {
 protected:
  FamilyLaws() : model_(family::open_model(testing::family_golden(GetParam()))) {
    weights_ = model::load_weights(model_, at::kDouble, at::kCPU);
  }
  const ModelConfig& config() const { return model_.config; }
  bool is_multi_head() const { return config().kv_heads == config().heads; }

  ModelDirectory model_;
  model::Weights weights_;
  TempDir folder_;
};

TEST_P(FamilyLaws, AsManyHeadsAsBeforeChangesNoByte) {
  convert_to(model_.path, folder_ / "out", {.kv_heads = config().kv_heads});
  for (const char* name : {"model.safetensors", "config.json"})
    EXPECT_EQ(read_text(folder_ / "out" / name), read_text(model_.path / name)) << name;
}

TEST_P(FamilyLaws, WhatIsWrittenInItsLayoutIsReadAgain) {
  testing::write_like(model_, weights_, DType::kF64, folder_ / "same");
  EXPECT_EQ(difference(logits_of(folder_ / "same", at::kDouble), logits_of(model_.path, at::kDouble)), 0);
}

// A layer at a time, batches of two lengths, in the type of the files' users: the same to the bit.
TEST_P(FamilyLaws, LayerByLayerIsTheWholePass) {
  const c10::NoGradGuard no_grad;
  const model::Decoder whole(config(), model::load_weights(model_, at::kFloat, at::kCPU)),
      head(config(), model::load_head(model_, at::kFloat, at::kCPU));
  const std::vector<at::Tensor> batches_BT = {at::arange(24).remainder(config().vocab_size).view({2, 12}),
                                              at::arange(5).view({1, 5})};
  const at::Tensor streams_NM = at::empty({29, config().hidden}, at::kFloat);
  double done = 0;
  model::run_layer_by_layer(model_, batches_BT, at::kCPU, streams_NM, [&](double tokens) { done += tokens; });
  EXPECT_EQ(done, 29. * static_cast<double>(config().layers));
  std::int64_t row = 0;
  for (const at::Tensor& ids_BT : batches_BT) {
    const at::Tensor x_BTM =
        streams_NM.narrow(0, row, ids_BT.numel()).view({ids_BT.size(0), ids_BT.size(1), -1});
    EXPECT_TRUE(at::equal(head.logits(head.final_states(x_BTM)), whole.logits(whole.hidden_states(ids_BT))));
    row += ids_BT.numel();
  }
}

TEST_P(FamilyLaws, GaugesAndHeadOrderLeaveLogitsAlone) {
  const at::Tensor expected = logits_of(model_.path, at::kDouble);
  model::Weights changed = weights_;
  testing::change_gauges(config(), 1, changed);
  testing::write_like(model_, changed, DType::kF64, folder_ / "gauged");
  EXPECT_LT(difference(logits_of(folder_ / "gauged", at::kDouble), expected), 1e-10);
  testing::write_like(model_, changed, DType::kF32, folder_ / "gauged32");
  EXPECT_LT(difference(logits_of(folder_ / "gauged32", at::kFloat), expected), 1e-4);
  model::Weights shuffled = weights_;
  testing::shuffle_heads(config(), 2, shuffled);
  testing::write_like(model_, shuffled, DType::kF64, folder_ / "shuffled");
  const double moved = difference(logits_of(folder_ / "shuffled", at::kDouble), expected);
  if (config().heads_can_move())
    EXPECT_LT(moved, 1e-10);
  else
    EXPECT_GT(moved, 1e-3) << "ALiBi knows heads by their number";
}

// What would change the model is not offered.
TEST_P(FamilyLaws, HeadsThatCannotMoveAreNotMoved) {
  if (!is_multi_head()) GTEST_SKIP() << "grouped already";
  for (const convert::MergeMethod& row : convert::merge_methods()) {
    const std::string_view chosen = convert::grouping_of(row, config());
    EXPECT_EQ(chosen, config().heads_can_move() ? row.grouping : "contiguous") << row.name;
  }
  if (config().heads_can_move()) return;
  write_text(folder_ / "groups.json", R"({"groups": [[0, 1], [2, 3]]})");
  for (const std::string& grouping : {std::string("cost"), (folder_ / "groups.json").string()})
    EXPECT_CONTAINS(testing::user_error_of([&] {
                      convert_to(model_.path, folder_ / "moved", {.kv_heads = 2, .grouping = grouping});
                    }),
                    "heads cannot change places");
  EXPECT_FALSE(fs::exists(folder_ / "moved"));
}

TEST_P(FamilyLaws, EqualHeadsMergeToThemselves) {
  if (!is_multi_head()) GTEST_SKIP() << "grouped already";
  for (const std::int64_t groups : {2, 1})
    for (const convert::MergeMethod& row : convert::merge_methods()) {
      if (row.merge == nullptr) continue;
      // Clipping knows coordinates: heads that are turned are clipped elsewhere.
      if (config().clip_qkv > 0 && row.turns_heads) continue;
      const std::string method(row.name);
      model::Weights equal = weights_;
      testing::equal_heads(config(), groups, equal);
      const std::string name = std::to_string(groups) + method;
      testing::write_like(model_, equal, DType::kF64, folder_ / (name + "-source"));
      convert_to(folder_ / (name + "-source"), folder_ / name,
                 {.kv_heads = groups, .method = method, .grouping = "contiguous"});
      EXPECT_LT(difference(logits_of(folder_ / name, at::kDouble),
                           logits_of(folder_ / (name + "-source"), at::kDouble)),
                1e-8)
          << method << " to " << groups;
    }
}

// A grouped model expanded to multi-head attention, every copy behind a random gauge, heads shuffled where
// they can be: the merge finds the grouped model again.
TEST_P(FamilyLaws, TheHiddenModelIsFoundAgain) {
  if (!is_multi_head()) GTEST_SKIP() << "grouped already";
  if (config().clip_qkv > 0) GTEST_SKIP() << "clipping leaves no gauges to hide behind";
  for (const auto& [dtype, type, within] :
       {std::tuple{DType::kF64, at::kDouble, 1e-8}, {DType::kF32, at::kFloat, 2e-3}})
    for (const std::int64_t groups : {2, 1}) {
      model::Weights hidden = weights_;
      testing::equal_heads(config(), groups, hidden);
      testing::change_gauges(config(), 5, hidden);
      if (config().heads_can_move()) testing::shuffle_heads(config(), 6, hidden);
      const std::string name = std::to_string(groups) + "-" + std::string(checkpoint::dtype_name(dtype));
      testing::write_like(model_, hidden, dtype, folder_ / (name + "-source"));
      testing::write_random_tokens(folder_ / (name + "-tokens"), 1600, config().vocab_size);
      const at::Tensor expected = logits_of(folder_ / (name + "-source"), at::kDouble);
      convert_to(folder_ / (name + "-source"), folder_ / name, {.kv_heads = groups});
      EXPECT_LT(difference(logits_of(folder_ / name, type), expected), within) << "from weights";
      convert_to(folder_ / (name + "-source"), folder_ / (name + "-text"),
                 {.kv_heads = groups, .refit = "ridge"},
                 {.files = {folder_ / (name + "-tokens")}, .format = "nanogpt"});
      EXPECT_LT(difference(logits_of(folder_ / (name + "-text"), type), expected), within) << "from text";
      convert_to(folder_ / (name + "-source"), folder_ / (name + "-drawn"),
                 {.kv_heads = groups, .refit = "none"}, {.tokens = 1600});
      EXPECT_LT(difference(logits_of(folder_ / (name + "-drawn"), type), expected), within) << "from drawn";
    }
}

TEST_P(FamilyLaws, EveryConversionIsAModelOfThatManyHeads) {
  for (const std::int64_t groups : family::reachable_kv_heads(config())) {
    const fs::path output = folder_ / std::to_string(groups);
    const bool merges = groups != config().kv_heads;
    convert_to(model_.path, output, {.kv_heads = groups, .refit = "none"}, {.tokens = merges ? 1024 : 0});
    EXPECT_EQ(family::open_model(output).config.kv_heads, groups);
    EXPECT_TRUE(at::isfinite(logits_of(output, at::kFloat)).all().item<bool>());
  }
}

// A conversion can be converted: in steps or at once, to the same number of heads.
TEST_P(FamilyLaws, EveryConversionCanBeConverted) {
  for (const std::int64_t first : family::reachable_kv_heads(config())) {
    const fs::path once = folder_ / std::to_string(first);
    convert_to(model_.path, once, {.kv_heads = first, .method = "mean"});
    for (const std::int64_t second : family::reachable_kv_heads(family::open_model(once).config)) {
      const fs::path twice = folder_ / fmt::format("{}-{}", first, second);
      convert_to(once, twice, {.kv_heads = second, .method = "mean"});
      EXPECT_EQ(family::open_model(twice).config.kv_heads, second) << "by way of " << first;
      EXPECT_TRUE(at::isfinite(logits_of(twice, at::kFloat)).all().item<bool>());
    }
  }
}

// What is foretold is what happens, whatever moves heads or norms them: the groups and the errors that
// `convert` records, from weights alone and from drawn tokens.
TEST_P(FamilyLaws, InspectForetellsAConversion) {
  if (family::reachable_kv_heads(config()).size() < 3) GTEST_SKIP() << "too few heads";
  for (const auto& [method, tokens] : std::vector<std::pair<std::string, std::int64_t>>{
           {"optimal", 0}, {"select", 1024}, {"aligned-mean", 0}}) {
    const Json heads =
        convert::inspect_heads({.model = model_.path, .method = method, .calibration_tokens = tokens});
    convert::convert({.model = model_.path,
                      .output = folder_ / "out",
                      .plan = {.kv_heads = 2, .method = method, .refit = tokens == 0 ? "" : "none"},
                      .calibration = {.weights_only = tokens == 0, .tokens = tokens},
                      .overwrite = true},
                     Json::object());
    const Json record = read_json(folder_ / "out/regroup.json")["result"];
    EXPECT_EQ(record["grouping"], heads["grouping"]);
    for (std::size_t layer = 0; layer < heads["layers"].size(); ++layer) {
      const Json& merges = heads["layers"][layer]["merges"];
      const auto merge = std::ranges::find_if(merges, [](const Json& one) { return one["kv_heads"] == 2; });
      ASSERT_NE(merge, merges.end());
      EXPECT_EQ(record["groups"][layer], (*merge)["groups"]) << method << " " << tokens;
      for (const char* part : {"keys", "values"})
        EXPECT_NEAR(record["merge_error"][layer][part].get<double>(), (*merge)[part].get<double>(), 1e-9)
            << method << " " << tokens << " " << part;
    }
  }
}

// A layer without keys looks everywhere alike, one without values or output adds nothing: neither has
// anything to lose, and where the other heads are equal, nothing is lost.
TEST_P(FamilyLaws, ZerosMergeToZeros) {
  if (!is_multi_head()) GTEST_SKIP() << "grouped already";
  if (config().clip_qkv > 0) GTEST_SKIP() << "clipping leaves no gauges to turn by";
  for (const auto& [name, parts] :
       {std::pair{"keys", std::pair{family::Part::kKeyWeight, family::Part::kKeyBias}},
        {"values", {family::Part::kValueWeight, family::Part::kValueBias}},
        {"output", {family::Part::kOutputWeight, family::Part::kOutputBias}}}) {
    model::Weights zeroed = weights_;
    testing::equal_heads(config(), 2, zeroed);
    for (const family::Part part : {parts.first, parts.second})
      if (const auto found = zeroed.find({part, 0}); found != zeroed.end())
        found->second = at::zeros_like(found->second);
    const fs::path source = folder_ / name;
    testing::write_like(model_, zeroed, DType::kF64, source);
    const at::Tensor expected = logits_of(source, at::kDouble);
    for (const bool drawn : {false, true}) {
      const fs::path output = folder_ / fmt::format("{}-{}", name, drawn);
      convert_to(source, output, {.kv_heads = 2}, {.weights_only = !drawn, .tokens = drawn ? 1024 : 0});
      EXPECT_LT(difference(logits_of(output, at::kDouble), expected), 1e-8) << name << " " << drawn;
    }
  }
}

// HF's logits of the same conversions, loaded by the class that our config.json names.
TEST_P(FamilyLaws, ConvertedLogitsAreThoseOfHf) {
  const auto golden = testing::read_tensor_file(model_.path / "expected.safetensors");
  const c10::NoGradGuard no_grad;
  for (const std::int64_t groups : family::reachable_kv_heads(config())) {
    const auto target = family::choose_target(*model_.family, model_.config_json, config(), groups);
    const bool loaded = std::ranges::find(target.loaded_by, "HF transformers") != target.loaded_by.end();
    const std::string name = "mean_" + std::to_string(groups);
    if (groups == config().kv_heads) continue;
    ASSERT_EQ(golden.contains(name), loaded) << name;
    if (!loaded) continue;
    convert_to(model_.path, folder_ / name, {.kv_heads = groups, .method = "mean"});
    const ModelDirectory result = family::open_model(folder_ / name);
    const model::Decoder decoder(result.config, model::load_weights(result, at::kFloat, at::kCPU));
    const at::Tensor logits = decoder.logits(decoder.hidden_states(golden.at("ids")));
    EXPECT_LE((logits - golden.at(name)).abs().max().item<double>(), 1e-4) << name;
  }
}

// Uptraining differentiates every part of every family.
TEST_P(FamilyLaws, GradientsAreThoseOfFiniteDifferences) {
  const at::Tensor ids = at::arange(24, at::kLong).view({2, 12}) * 5 % config().vocab_size;
  const auto loss_of = [&](const model::Weights& weights) {
    const model::Decoder decoder(config(), weights);
    const at::Tensor hidden = decoder.hidden_states(ids.narrow(1, 0, 11));
    return at::cross_entropy_loss(decoder.logits(hidden).flatten(0, 1), ids.narrow(1, 1, 11).flatten());
  };
  model::Weights leaves, direction;
  RandomStream stream(1, "direction");
  for (const auto& [key, weight] : weights_) {
    leaves[key] = weight.clone().set_requires_grad(true);
    at::Tensor values = at::empty_like(weight);
    for (std::int64_t i = 0; i < values.numel(); ++i) values.mutable_data_ptr<double>()[i] = stream.normal();
    direction[key] = values;
  }
  loss_of(leaves).backward();
  const c10::NoGradGuard no_grad;
  for (const auto& [key, weight] : weights_) {
    const at::Tensor gradient = leaves.at(key).grad();
    ASSERT_TRUE(gradient.defined()) << "part " << static_cast<int>(key.first);
    const auto moved = [&](double step) {
      model::Weights weights = weights_;
      weights[key] = weight + step * direction.at(key);
      return loss_of(weights).item<double>();
    };
    constexpr double kStep = 1e-6;
    const double expected = (moved(kStep) - moved(-kStep)) / (2 * kStep),
                 slope = (gradient * direction.at(key)).sum().item<double>();
    EXPECT_NEAR(slope, expected, 1e-6 + 1e-5 * std::abs(expected))
        << "part " << static_cast<int>(key.first) << " of layer " << key.second;
  }
}

// A move is the same function, at every number of heads that the home holds.
TEST_P(FamilyLaws, MovedModelsAreTheSameFunction) {
  if (!is_multi_head()) GTEST_SKIP() << "grouped already";
  int moved = 0;
  for (const family::Home& home : family::homes())
    for (const std::int64_t groups : family::reachable_kv_heads(config())) {
      if (!home.obstacle(config(), groups).empty()) {
        EXPECT_THROW(convert_to(model_.path, folder_ / "none",
                                {.kv_heads = groups, .target = std::string(home.family)}),
                     UserError);
        continue;
      }
      ++moved;
      const std::string name = std::to_string(groups) + std::string(home.family);
      model::Weights equal = weights_;
      testing::equal_heads(config(), groups, equal);
      testing::write_like(model_, equal, DType::kF32, folder_ / (name + "-source"));
      convert_to(folder_ / (name + "-source"), folder_ / name,
                 {.kv_heads = groups, .method = "mean", .target = std::string(home.family)});
      const ModelDirectory result = family::open_model(folder_ / name);
      EXPECT_EQ(result.family->name, home.family);
      EXPECT_EQ(result.config.kv_heads, groups);
      EXPECT_LT(difference(logits_of(folder_ / name, at::kFloat),
                           logits_of(folder_ / (name + "-source"), at::kFloat)),
                1e-5)
          << home.family << " with " << groups;
    }
  if (moved == 0) GTEST_SKIP() << "no home takes it";
}

INSTANTIATE_TEST_SUITE_P(Families, FamilyLaws, ::testing::ValuesIn(testing::family_goldens()),
                         [](const auto& golden) {
                           std::string name = golden.param;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace regroup
