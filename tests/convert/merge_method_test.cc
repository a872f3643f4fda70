#include "convert/merge_method.h"

#include <ATen/CPUGeneratorImpl.h>
#include <gtest/gtest.h>

#include "tests/support/expect_error.h"

namespace regroup::convert {
namespace {

constexpr std::int64_t kHeads = 6, kDim = 4, kWidth = 5;
const MergeContext kContext{.head_dim = kDim, .rotary_dims = kDim};

// Biases are the last column, here like everything else.
AttentionLayer random_layer(std::int64_t kv_heads = kHeads, std::int64_t queries = 1) {
  at::Generator generator = at::detail::createCPUGenerator(7);
  const auto draw = [&](at::IntArrayRef shape) { return at::randn(shape, generator, at::kDouble); };
  return {.q_HDN = draw({kv_heads * queries, kDim, kWidth + 1}),
          .k_KDN = draw({kv_heads, kDim, kWidth + 1}),
          .v_KDN = draw({kv_heads, kDim, kWidth + 1}),
          .o_MHD = draw({kWidth, kv_heads * queries, kDim}),
          .hidden = kWidth,
          .rotary_dims = kDim};
}

HeadStatistics statistics_of(const AttentionLayer& layer) {
  return head_statistics(layer, moments_of_norm(at::arange(1, kWidth + 1, at::kDouble), {}, true, kWidth));
}

AttentionLayer merged_by(std::string_view method, const AttentionLayer& layer, const Grouping& grouping,
                         const MergeContext& context = kContext) {
  const HeadStatistics statistics = statistics_of(layer);
  std::vector<HeadMerge> merges;
  for (const Members& members : grouping)
    merges.push_back(merge_method(method).merge(statistics, members, context));
  return apply(layer, grouping, merges);
}

TEST(MergeMethod, MeanIsTheMeanOfItsMembers) {
  const AttentionLayer layer = random_layer();
  const AttentionLayer merged = merged_by("mean", layer, {{0, 4, 5}, {1, 2, 3}});
  EXPECT_TRUE(at::allclose(merged.k_KDN[0], (layer.k_KDN[0] + layer.k_KDN[4] + layer.k_KDN[5]) / 3));
  EXPECT_TRUE(at::allclose(merged.v_KDN[1], (layer.v_KDN[1] + layer.v_KDN[2] + layer.v_KDN[3]) / 3));
  // Query heads and output columns follow, untouched.
  EXPECT_TRUE(at::equal(merged.q_HDN[1], layer.q_HDN[4]));
  EXPECT_TRUE(at::equal(merged.o_MHD.select(1, 3), layer.o_MHD.select(1, 1)));
}

TEST(MergeMethod, FirstKeepsTheFirstMember) {
  const AttentionLayer layer = random_layer();
  const AttentionLayer merged = merged_by("first", layer, {{0, 1}, {5, 3}, {2, 4}});
  EXPECT_TRUE(at::equal(merged.k_KDN[1], layer.k_KDN[5]));
  EXPECT_TRUE(at::equal(merged.v_KDN[2], layer.v_KDN[2]));
}

TEST(MergeMethod, QueryHeadsOfAGroupedSourceFollowTheirHead) {
  const AttentionLayer layer = random_layer(4, 2);
  const AttentionLayer merged = merged_by("first", layer, {{0, 2}, {1, 3}});
  for (const auto& [position, head] :
       {std::pair{0, 0}, {1, 1}, {2, 4}, {3, 5}, {4, 2}, {5, 3}, {6, 6}, {7, 7}})
    EXPECT_TRUE(at::equal(merged.q_HDN[position], layer.q_HDN[head])) << position;
}

TEST(MergeMethod, SelectFromTextTakesTheHeadOfStrongestOutput) {
  AttentionLayer layer = random_layer();
  layer.v_KDN[2] *= 9;
  layer.o_MHD.select(1, 4) *= 9;
  layer.v_KDN[4] *= 4;
  const MergeContext calibrated{.head_dim = kDim, .rotary_dims = kDim, .calibrated = true};
  const AttentionLayer merged = merged_by("select", layer, {{0, 2, 1}, {3, 4, 5}}, calibrated);
  EXPECT_TRUE(at::equal(merged.k_KDN[0], layer.k_KDN[2]));
  EXPECT_TRUE(at::equal(merged.v_KDN[1], layer.v_KDN[4]));
}

TEST(MergeMethod, SelectFromWeightsTakesTheMedoid) {
  AttentionLayer layer = random_layer();
  // Head 1 lies between 0 and 2.
  layer.k_KDN[1] = (layer.k_KDN[0] + layer.k_KDN[2]) / 2;
  layer.v_KDN[1] = (layer.v_KDN[0] + layer.v_KDN[2]) / 2;
  const AttentionLayer merged = merged_by("select", layer, {{0, 1, 2}, {3, 4, 5}});
  EXPECT_TRUE(at::equal(merged.k_KDN[0], layer.k_KDN[1]));
  EXPECT_TRUE(at::equal(merged.v_KDN[0], layer.v_KDN[1]));
}

TEST(MergeMethod, RenormGivesKeysAndValuesTheirMembersSize) {
  const AttentionLayer layer = random_layer();
  for (const char* method : {"mean-renorm", "aligned-renorm"}) {
    const AttentionLayer merged = merged_by(method, layer, {{0, 1, 2}, {3, 4, 5}});
    const HeadStatistics before = statistics_of(layer), after = statistics_of(merged);
    const auto key_size = [](const HeadStatistics& statistics, std::int64_t head) {
      return std::sqrt(at::real(statistics.keys_CKK.select(1, head).select(1, head)).sum().item<double>());
    };
    EXPECT_NEAR(key_size(after, 1), (key_size(before, 3) + key_size(before, 4) + key_size(before, 5)) / 3,
                1e-9)
        << method;
    const auto value_size = [](const HeadStatistics& statistics, std::int64_t head) {
      return std::sqrt(statistics.values.moments_KEKE.select(0, head).select(1, head).trace().item<double>());
    };
    EXPECT_NEAR(value_size(after, 0),
                (value_size(before, 0) + value_size(before, 1) + value_size(before, 2)) / 3, 1e-9)
        << method;
  }
}

// Heads that differ by a phase and an orthogonal map only are one head to an aligned merge.
TEST(MergeMethod, AlignedMergesUndoRotations) {
  AttentionLayer layer = random_layer(2);
  const at::Tensor phase =
      at::polar(at::ones({kDim / 2, 1}, at::kDouble), at::tensor({0.7, -2.1}, at::kDouble).unsqueeze(1));
  layer.k_KDN[1] = from_pairs(as_pairs(layer.k_KDN[0]) * phase);
  layer.v_KDN[1] = at::matmul(std::get<0>(at::linalg_qr(layer.v_KDN[1].narrow(1, 0, kDim))), layer.v_KDN[0]);
  const HeadStatistics statistics = statistics_of(layer);
  for (const char* method : {"aligned-mean", "aligned-renorm", "optimal"})
    EXPECT_NEAR(
        merge_error(statistics, {0, 1}, merge_method(method).merge(statistics, {0, 1}, kContext)).total(), 0,
        1e-12)
        << method;
  EXPECT_GT(merge_error(statistics, {0, 1}, merge_method("mean").merge(statistics, {0, 1}, kContext)).total(),
            0.1);
}

// The objective that merges are chosen by is the expectation it claims to be, found here by drawing inputs.
TEST(MergeMethod, MergeErrorIsTheExpectationItClaims) {
  const AttentionLayer layer = random_layer(4, 2);
  at::Generator generator = at::detail::createCPUGenerator(3);
  const std::int64_t count = 300;
  const at::Tensor inputs_NB = at::randn({kWidth + 1, count}, generator, at::kDouble);
  const HeadStatistics statistics =
      head_statistics(layer, {at::matmul(inputs_NB, inputs_NB.t()) / static_cast<double>(count)});
  const Members members = {1, 3};
  for (const MergeMethod& method : merge_methods()) {
    if (method.merge == nullptr) continue;
    const HeadMerge merge = method.merge(statistics, members, kContext);
    const MergeError error = merge_error(statistics, members, merge);
    const at::Tensor k_KCB = as_pairs(at::matmul(layer.k_KDN, inputs_NB)),
                     v_KDB = at::matmul(layer.v_KDN, inputs_NB),
                     q_HCB = as_pairs(at::matmul(layer.q_HDN, inputs_NB));
    at::Tensor key = at::zeros_like(k_KCB[0]), value = at::zeros_like(v_KDB[0]);
    for (std::size_t i = 0; i < members.size(); ++i) {
      const auto at_i = static_cast<std::int64_t>(i);
      key = key + merge.key_mix_SC[at_i].unsqueeze(1) * k_KCB[members[i]];
      value = value + at::matmul(merge.values.mix_SEE[at_i], v_KDB[members[i]]);
    }
    double keys = 0, values = 0, key_scale = 0, value_scale = 0;
    for (std::int64_t head = 0; head < 4; ++head) {
      for (std::int64_t query = 2 * head; query < 2 * head + 2; ++query) {
        const at::Tensor energy_C1 = q_HCB[query].abs().square().mean(1, true);
        const at::Tensor output = layer.o_MHD.select(1, query);
        key_scale += (energy_C1 * k_KCB[head].abs().square()).mean(1).sum().item<double>();
        value_scale += at::matmul(output, v_KDB[head]).square().mean(1).sum().item<double>();
        for (std::size_t i = 0; i < members.size(); ++i) {
          if (members[i] != head) continue;
          const auto at_i = static_cast<std::int64_t>(i);
          const at::Tensor seen_key =
              merge.key_view_SC.defined() ? merge.key_view_SC[at_i].unsqueeze(1) * key : key;
          const at::Tensor seen_value =
              merge.values.view_SEE.defined() ? at::matmul(merge.values.view_SEE[at_i], value) : value;
          keys += (energy_C1 * (k_KCB[head] - seen_key).abs().square()).mean(1).sum().item<double>();
          values += at::matmul(output, v_KDB[head] - seen_value).square().mean(1).sum().item<double>();
        }
      }
    }
    EXPECT_NEAR(error.keys, keys / key_scale, 1e-9) << method.name;
    EXPECT_NEAR(error.values, values / value_scale, 1e-9) << method.name;
  }
}

TEST(MergeMethod, RandomDrawsAsTheModelIsInitialized) {
  AttentionLayer layer = random_layer();
  layer.k_KDN = at::ones({8, 64, 129});
  layer.v_KDN = at::ones({8, 64, 129});
  layer.hidden = 128;
  const auto drawn = [&](std::uint64_t seed, std::int64_t index) {
    return with_drawn_heads(layer, 4, 0.02, seed, index);
  };
  const AttentionLayer merged = drawn(11, 3);
  const at::Tensor keys = merged.k_KDN.narrow(2, 0, 128);
  EXPECT_NEAR(keys.std().item<double>(), 0.02, 0.0005);
  EXPECT_NEAR(keys.mean().item<double>(), 0, 0.0005);
  EXPECT_FALSE(at::equal(merged.k_KDN, merged.v_KDN)) << "keys and values are drawn apart";
  EXPECT_TRUE(at::equal(merged.k_KDN.select(2, 128), at::zeros({4, 64}))) << "biases start at zero";
  EXPECT_TRUE(at::equal(drawn(11, 3).k_KDN, merged.k_KDN)) << "the same seed draws the same";
  EXPECT_FALSE(at::equal(drawn(12, 3).k_KDN, merged.k_KDN));
  EXPECT_FALSE(at::equal(drawn(11, 2).k_KDN, merged.k_KDN));
}

TEST(MergeMethod, EveryMethodKeepsShapesAndTypes) {
  for (const MergeMethod& method : merge_methods())
    for (const std::int64_t groups : {1, 2, 3})
      for (const at::ScalarType type : {at::kFloat, at::kDouble}) {
        if (method.merge == nullptr) continue;
        AttentionLayer layer = random_layer();
        for (at::Tensor* tensor : {&layer.q_HDN, &layer.k_KDN, &layer.v_KDN, &layer.o_MHD})
          *tensor = tensor->to(type);
        const AttentionLayer merged = merged_by(method.name, layer, contiguous_groups(kHeads, groups));
        EXPECT_EQ(merged.k_KDN.sizes(), (at::IntArrayRef{groups, kDim, kWidth + 1})) << method.name;
        EXPECT_EQ(merged.v_KDN.sizes(), (at::IntArrayRef{groups, kDim, kWidth + 1})) << method.name;
        EXPECT_EQ(merged.q_HDN.sizes(), layer.q_HDN.sizes()) << method.name;
        EXPECT_EQ(merged.o_MHD.sizes(), layer.o_MHD.sizes()) << method.name;
        for (const at::Tensor& tensor : {merged.q_HDN, merged.k_KDN, merged.v_KDN, merged.o_MHD})
          EXPECT_EQ(tensor.scalar_type(), type) << method.name;
        const bool turned = !at::equal(merged.q_HDN, layer.q_HDN);
        EXPECT_EQ(turned, method.turns_heads) << method.name;
      }
}

TEST(MergeMethod, AnUnknownNameIsAnErrorThatListsTheNames) {
  const std::string text = testing::user_error_of([] { merge_method("median"); });
  EXPECT_CONTAINS(text, "--method: no such method: expected one of mean, first, random, select, mean-renorm");
  EXPECT_CONTAINS(text, "found 'median'");
}

}  // namespace
}  // namespace regroup::convert
