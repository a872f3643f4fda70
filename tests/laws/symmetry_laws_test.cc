// What leaves a model's function as it is, and what a merge must make of it: over every method it holds for,
// every number of groups, both precisions, with biases and without, from multi-head and grouped sources.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "convert/convert.h"
#include "convert/merge_method.h"
#include "core/base/file.h"
#include "core/base/random.h"
#include "core/model/decoder.h"
#include "tests/support/symmetries.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_llama.h"
#include "tests/support/token_file.h"

namespace regroup {
namespace {

using checkpoint::DType;
using convert::Evidence;
using testing::NamedTensors;
using testing::TempDir;
using testing::TinyLlama;

constexpr DType kTypes[] = {DType::kF64, DType::kF32};

TinyLlama shape_of(std::int64_t kv_heads, DType dtype, bool bias) {
  return {.layers = 2,
          .hidden = 24,
          .heads = 8,
          .kv_heads = kv_heads,
          .head_dim = 6,
          .ffn = 20,
          .vocab = 32,
          .attention_bias = bias,
          .dtype = dtype};
}

at::Tensor logits_of(const std::filesystem::path& directory, DType dtype) {
  const auto model = family::open_model(directory);
  const model::Decoder decoder(
      model.config, model::load_weights(model, dtype == DType::kF64 ? at::kDouble : at::kFloat, at::kCPU));
  at::Tensor ids = at::empty({2, 20}, at::kLong);
  RandomStream stream(3, "ids");
  for (std::int64_t i = 0; i < ids.numel(); ++i)
    ids.mutable_data_ptr<std::int64_t>()[i] = static_cast<std::int64_t>(stream.below(32));
  return decoder.logits(decoder.hidden_states(ids)).to(at::kDouble);
}

// Largest difference of logits in units of their standard deviation.
double difference(const at::Tensor& logits, const at::Tensor& expected) {
  return ((logits - expected).abs().max() / expected.std()).item<double>();
}

at::Tensor logits_of(const TinyLlama& shape, const NamedTensors& tensors) {
  TempDir folder;
  testing::write_llama(shape, tensors, folder / "model");
  return logits_of(folder / "model", shape.dtype);
}

// By what `evidence` shows: text is of random tokens.
at::Tensor converted_logits(const TinyLlama& shape, const NamedTensors& tensors,
                            const convert::PlanOptions& plan, Evidence evidence = Evidence::kWeights) {
  TempDir folder;
  testing::write_llama(shape, tensors, folder / "source");
  convert::ConvertOptions options{.model = folder / "source", .output = folder / "out", .plan = plan};
  options.calibration.weights_only = evidence == Evidence::kWeights;
  options.calibration.tokens = evidence == Evidence::kDrawn ? 64 * 8 : 0;
  if (evidence == Evidence::kText) {
    testing::write_random_tokens(folder / "tokens", 64 * 8, shape.vocab);
    options.calibration = {.files = {folder / "tokens"}, .format = "nanogpt"};
  }
  convert::convert(options, Json::object());
  return logits_of(folder / "out", shape.dtype);
}

TEST(SymmetryLaws, GaugesAndHeadOrderLeaveLogitsAlone) {
  for (const DType dtype : kTypes)
    for (const bool bias : {false, true})
      for (const std::int64_t kv_heads : {8, 4, 1}) {
        const TinyLlama shape = shape_of(kv_heads, dtype, bias);
        const NamedTensors tensors = testing::tiny_llama_tensors(shape);
        const at::Tensor expected = logits_of(shape, tensors);
        const double within = dtype == DType::kF64 ? 1e-10 : 1e-4;
        EXPECT_LT(difference(logits_of(shape, testing::with_random_gauges(shape, tensors, 1)), expected),
                  within);
        EXPECT_LT(difference(logits_of(shape, testing::with_shuffled_heads(shape, tensors, 2)), expected),
                  within);
      }
}

// A grouped model expanded to more heads, every copy behind a random gauge, heads shuffled.
NamedTensors hidden(TinyLlama& shape, std::int64_t expanded) {
  NamedTensors tensors = testing::with_copied_heads(shape, testing::tiny_llama_tensors(shape), expanded);
  tensors = testing::with_random_gauges(shape, tensors, 5);
  return testing::with_shuffled_heads(shape, tensors, 6);
}

TEST(SymmetryLaws, TheHiddenModelIsFoundAgain) {
  for (const convert::MergeMethod& method : convert::merge_methods()) {
    if (!method.is_least) continue;
    for (const DType dtype : kTypes)
      for (const bool bias : {false, true})
        for (const std::int64_t expanded : {8, 4})
          for (std::int64_t groups = expanded / 2; groups >= 1; groups /= 2) {
            TinyLlama shape = shape_of(groups, dtype, bias);
            const at::Tensor expected = logits_of(shape, testing::tiny_llama_tensors(shape));
            const NamedTensors tensors = hidden(shape, expanded);
            const double within = dtype == DType::kF64 ? 1e-8 : 2e-3;
            for (const Evidence evidence : {Evidence::kWeights, Evidence::kDrawn, Evidence::kText}) {
              const bool refits = evidence != Evidence::kWeights && groups == 2;
              const at::Tensor found = converted_logits(shape, tensors,
                                                        {.kv_heads = groups,
                                                         .method = std::string(method.name),
                                                         .grouping = "cost",
                                                         .refit = refits ? "" : "none"},
                                                        evidence);
              EXPECT_LT(difference(found, expected), within)
                  << method.name << " " << expanded << " -> " << groups << (bias ? " with bias" : "")
                  << ", from " << convert::evidence_name(evidence);
            }
            // Not because the task is easy: contiguous groups, and the mean, lose it.
            const at::Tensor mean = converted_logits(
                shape, tensors, {.kv_heads = groups, .method = "mean", .grouping = "contiguous"});
            EXPECT_GT(difference(mean, expected), 100 * within);
          }
  }
}

// Nor do the others find it, whatever groups they look for.
TEST(SymmetryLaws, OtherMethodsLoseTheHiddenModel) {
  for (const std::int64_t groups : {4, 2, 1}) {
    TinyLlama shape = shape_of(groups, DType::kF64, true);
    const at::Tensor expected = logits_of(shape, testing::tiny_llama_tensors(shape));
    const NamedTensors tensors = hidden(shape, 8);
    for (const convert::MergeMethod& method : convert::merge_methods()) {
      if (method.is_least) continue;
      const at::Tensor lost =
          converted_logits(shape, tensors,
                           {.kv_heads = groups,
                            .method = std::string(method.name),
                            .grouping = method.merge == nullptr || groups == 1 ? "contiguous" : "cost"});
      EXPECT_GT(difference(lost, expected), 1e-2) << method.name << " to " << groups;
    }
  }
}

// Statistics of a random layer.
convert::HeadStatistics random_statistics(const TinyLlama& shape, std::uint64_t seed) {
  TempDir folder;
  TinyLlama drawn = shape;
  drawn.seed = seed;
  testing::write_tiny_llama(drawn, folder / "model");
  const auto model = family::open_model(folder / "model");
  const convert::AttentionLayer layer = convert::read_attention(model, 0, true);
  // Inputs that vary unevenly and together, as real ones do.
  RandomStream stream(seed, "inputs");
  at::Tensor inputs = at::empty({40, layer.k_KDN.size(2)}, at::kDouble);
  for (std::int64_t i = 0; i < inputs.numel(); ++i)
    inputs.mutable_data_ptr<double>()[i] = stream.normal() * std::exp(0.5 * stream.normal());
  return convert::head_statistics(layer, {at::matmul(inputs.t(), inputs) / 40});
}

TEST(SymmetryLaws, TheLeastLosesLeastOfAllMethods) {
  const auto all = convert::merge_methods();
  const auto found = std::ranges::find(all, true, &convert::MergeMethod::is_least);
  ASSERT_NE(found, all.end());
  const convert::MergeMethod& optimal = *found;
  const convert::MergeContext context{.head_dim = 6, .rotary_dims = 6, .calibrated = true};
  for (const bool bias : {false, true})
    for (const std::int64_t kv_heads : {8, 4})
      for (std::uint64_t seed = 1; seed <= 5; ++seed) {
        const auto statistics = random_statistics(shape_of(kv_heads, DType::kF64, bias), seed);
        for (const convert::Members& members : {convert::Members{0, 3}, {1, 2, 3}, {3, 1, 0, 2}}) {
          const auto least =
              convert::merge_error(statistics, members, optimal.merge(statistics, members, context));
          EXPECT_NEAR(least.total(), optimal.quick_error(statistics, members).total(), 1e-9);
          for (const convert::MergeMethod& method : all) {
            if (method.merge == nullptr) continue;
            const auto error =
                convert::merge_error(statistics, members, method.merge(statistics, members, context));
            EXPECT_TRUE(method.is_least || error.total() > least.total()) << method.name;
            EXPECT_LE(least.keys, error.keys + 1e-12) << method.name;
            EXPECT_LE(least.values, error.values + 1e-12) << method.name;
          }
        }
      }
}

// sum_i E‖k_i - view_i k_g‖² and the same of values, unweighted: statistics whose weights are all one.
convert::HeadStatistics unweighted(convert::HeadStatistics statistics) {
  statistics.energy_CK = at::ones_like(statistics.energy_CK);
  statistics.values.root_KEE =
      at::eye(statistics.head_dim(), at::kDouble).expand_as(statistics.values.root_KEE);
  statistics.values.inverse_KEE = statistics.values.root_KEE;
  return statistics;
}

TEST(SymmetryLaws, AlignedMeanIsNeverFurtherThanTheMean) {
  const convert::MergeContext context{.head_dim = 6, .rotary_dims = 6};
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const auto statistics = unweighted(random_statistics(shape_of(8, DType::kF64, false), seed));
    for (const convert::Members& members : {convert::Members{0, 3}, {1, 2, 5, 7}, {0, 1, 2, 3, 4, 5, 6, 7}}) {
      const auto error = [&](std::string_view name) {
        return convert::merge_error(statistics, members,
                                    convert::merge_method(name).merge(statistics, members, context));
      };
      EXPECT_LE(error("aligned-mean").keys, error("mean").keys + 1e-12);
      EXPECT_LE(error("aligned-mean").values, error("mean").values + 1e-12);
    }
  }
}

// Both directions: a method's model does not depend on the order of heads inside a group where its row says
// so, and does where not.
TEST(SymmetryLaws, TheOrderInsideAGroupIsIgnoredByThoseThatSaySo) {
  for (const DType dtype : kTypes) {
    const TinyLlama shape = shape_of(8, dtype, true);
    const NamedTensors tensors = testing::tiny_llama_tensors(shape),
                       shuffled = testing::with_shuffled_heads(shape, tensors, 4, 4);
    for (const convert::MergeMethod& method : convert::merge_methods()) {
      const convert::PlanOptions plan{
          .kv_heads = 2, .method = std::string(method.name), .grouping = "contiguous"};
      const double moved =
          difference(converted_logits(shape, shuffled, plan), converted_logits(shape, tensors, plan));
      if (method.ignores_order)
        EXPECT_LT(moved, dtype == DType::kF64 ? 1e-10 : 1e-4) << method.name;
      else
        EXPECT_GT(moved, 1e-3) << method.name;
    }
  }
}

TEST(SymmetryLaws, GroupsOfAFileAreThoseHeadsInWhateverOrder) {
  for (const DType dtype : kTypes) {
    const TinyLlama shape = shape_of(8, dtype, true);
    const NamedTensors tensors = testing::tiny_llama_tensors(shape);
    TempDir folder;
    const auto with_groups = [&](const std::string& layer) {
      std::filesystem::remove(folder / "groups.json");
      write_text(folder / "groups.json", "{\"groups\": [" + layer + ", " + layer + "]}");
      return converted_logits(
          shape, tensors,
          {.kv_heads = 2, .method = "optimal", .grouping = (folder / "groups.json").string()});
    };
    const at::Tensor one = with_groups("[[0, 1, 2, 3], [4, 5, 6, 7]]");
    EXPECT_LT(difference(with_groups("[[2, 0, 3, 1], [7, 6, 5, 4]]"), one),
              dtype == DType::kF64 ? 1e-10 : 1e-4);
    EXPECT_GT(difference(with_groups("[[0, 1, 2, 4], [3, 5, 6, 7]]"), one), 1e-2);
  }
}

}  // namespace
}  // namespace regroup
