// What holds for conversions whatever the numbers are, over every method it holds for and every count that
// divides.
#include <gtest/gtest.h>

#include "convert/convert.h"
#include "convert/merge_method.h"
#include "core/base/file.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_llama.h"

namespace regroup {
namespace {

using checkpoint::DType;
using convert::ConvertOptions;
using testing::TempDir;
using testing::TinyLlama;

constexpr DType kTypes[] = {DType::kF32, DType::kF16, DType::kBF16};

std::map<std::string, at::Tensor> converted(const TempDir& folder, const std::string& source,
                                            ConvertOptions options) {
  options.model = folder / source;
  options.output = folder / "out";
  options.overwrite = true;
  options.calibration.weights_only = true;
  convert::convert(options, Json::object());
  return testing::read_tensors(options.output);
}

bool is_kv(const std::string& name) {
  return name.find("k_proj") != std::string::npos || name.find("v_proj") != std::string::npos;
}

// What a merge may turn besides: the output's bias is nobody's head.
bool is_query_or_output(const std::string& name) {
  return name.find("q_proj") != std::string::npos || name.find("o_proj.weight") != std::string::npos;
}

TEST(MergeLaws, AsManyHeadsAsBeforeChangesNoByte) {
  for (const DType dtype : kTypes)
    for (const int files : {1, 3})
      for (const std::string& method : convert::method_names()) {
        TempDir folder;
        const TinyLlama shape{.attention_bias = true, .buffers = true, .dtype = dtype, .files = files};
        testing::write_tiny_llama(shape, folder / "source");
        converted(folder, "source", {.plan = {.kv_heads = 4, .method = method}});
        for (const auto& entry : std::filesystem::directory_iterator(folder / "source")) {
          const std::string name = entry.path().filename();
          EXPECT_EQ(read_text(entry.path()), read_text(folder / "out" / name)) << method << " " << name;
        }
      }
}

TEST(MergeLaws, WhatIsNotKeyOrValuePassesThroughByteForByte) {
  for (const DType dtype : kTypes) {
    TempDir folder;
    const TinyLlama shape{.attention_bias = true, .buffers = true, .dtype = dtype, .files = 2};
    testing::write_tiny_llama(shape, folder / "source");
    const auto before = testing::read_tensors(folder / "source");
    for (const convert::MergeMethod& method : convert::merge_methods())
      for (const std::int64_t groups : {1, 2}) {
        const auto after =
            converted(folder, "source", {.plan = {.kv_heads = groups, .method = std::string(method.name)}});
        ASSERT_EQ(after.size(), before.size());
        for (const auto& [name, tensor] : before) {
          if (is_kv(name)) {
            EXPECT_EQ(after.at(name).size(0), groups * 4) << name;
          } else if (!method.turns_heads || !is_query_or_output(name)) {
            EXPECT_EQ(0,
                      std::memcmp(after.at(name).const_data_ptr(), tensor.const_data_ptr(), tensor.nbytes()))
                << name;
          }
        }
      }
  }
}

// Copies of one head merge to it: to the bit where the method leaves heads as they stand, else the model's
// function stays (symmetry_laws_test.cc tests it for copies behind gauges too).
TEST(MergeLaws, EqualHeadsMergeToThemselves) {
  for (const DType dtype : kTypes)
    for (const convert::MergeMethod& method : convert::merge_methods())
      for (const std::int64_t groups : {1, 2}) {
        if (method.merge == nullptr) continue;
        TempDir folder;
        const TinyLlama shape{.attention_bias = true, .dtype = dtype};
        auto tensors = testing::tiny_llama_tensors(shape);
        for (auto& [name, tensor] : tensors) {
          if (!is_kv(name)) continue;
          // Every group's members become copies of its first.
          const at::Tensor heads = tensor.unflatten(0, {groups, 4 / groups, 4});
          tensor = heads.select(1, 0).unsqueeze(1).expand_as(heads).contiguous().reshape_as(tensor);
        }
        testing::write_llama(shape, tensors, folder / "source");
        const auto after = converted(
            folder, "source",
            {.plan = {.kv_heads = groups, .method = std::string(method.name), .grouping = "contiguous"}});
        // Values of `optimal` stand in another basis; its keys do not.
        const bool same_basis = method.name != "optimal";
        const bool exact = !method.uses_statistics || method.name == "select";
        for (const auto& [name, tensor] : tensors) {
          if (!is_kv(name) || (!same_basis && name.find("v_proj") != std::string::npos)) continue;
          const at::Tensor expected = tensor.unflatten(0, {groups, 4 / groups, 4}).select(1, 0).flatten(0, 1);
          const double within = exact ? 0 : dtype == DType::kF32 ? 1e-5 : 1e-2;
          EXPECT_TRUE(at::allclose(after.at(name), expected, within, within)) << method.name << " " << name;
        }
      }
}

// To the bit; symmetry_laws_test.cc asks every method for the same function.
TEST(MergeLaws, MeanDoesNotDependOnTheOrderInsideAGroup) {
  TempDir folder;
  const TinyLlama shape{.attention_bias = true};
  auto tensors = testing::tiny_llama_tensors(shape);
  testing::write_llama(shape, tensors, folder / "source");
  for (auto& [name, tensor] : tensors)
    if (is_kv(name)) tensor = tensor.unflatten(0, {2, 2, 4}).flip(1).contiguous().reshape_as(tensor);
  testing::write_llama(shape, tensors, folder / "swapped");
  const auto one = converted(folder, "source", {.plan = {.kv_heads = 2, .method = "mean"}});
  const auto other = converted(folder, "swapped", {.plan = {.kv_heads = 2, .method = "mean"}});
  for (const auto& [name, tensor] : one) EXPECT_TRUE(at::equal(tensor, other.at(name))) << name;
}

// The mean of means of equal groups is the mean of all: a grouped source is merged further as its multi-head
// ancestor would have been, to rounding.
TEST(MergeLaws, MeanInTwoStepsIsMeanInOne) {
  TempDir folder;
  testing::write_tiny_llama({.heads = 8, .kv_heads = 8, .attention_bias = true}, folder / "source");
  const auto direct = converted(folder, "source", {.plan = {.kv_heads = 2, .method = "mean"}});
  ConvertOptions half{
      .model = folder / "source", .output = folder / "half", .plan = {.kv_heads = 4, .method = "mean"}};
  convert::convert(half, Json::object());
  const auto stepped = converted(folder, "half", {.plan = {.kv_heads = 2, .method = "mean"}});
  for (const auto& [name, tensor] : direct)
    EXPECT_TRUE(at::allclose(tensor, stepped.at(name), 1e-6, 1e-7)) << name;
}

// Arithmetic in float32, rounded once: the written value is the nearest of the type to the exact mean.
TEST(MergeLaws, MeanIsRoundedOnce) {
  for (const DType dtype : {DType::kF16, DType::kBF16}) {
    TempDir folder;
    testing::write_tiny_llama({.heads = 8, .kv_heads = 8, .dtype = dtype}, folder / "source");
    const auto before = testing::read_tensors(folder / "source");
    const auto after = converted(folder, "source", {.plan = {.kv_heads = 1, .method = "mean"}});
    const std::string name = "model.layers.1.self_attn.v_proj.weight";
    const at::Tensor exact = before.at(name).to(at::kDouble).unflatten(0, {8, 4}).mean(0);
    EXPECT_TRUE(at::equal(after.at(name), exact.to(at::kFloat).to(before.at(name).scalar_type())));
  }
}

}  // namespace
}  // namespace regroup
