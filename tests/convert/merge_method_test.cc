#include "convert/merge_method.h"

#include <gtest/gtest.h>

#include "core/base/error.h"

namespace regroup::convert {
namespace {

constexpr std::int64_t kHeads = 6, kDim = 4, kWidth = 5;

KvHeads numbered_heads(bool biases) {
  const auto numbers = [](double from, at::IntArrayRef shape) {
    return at::arange(from, from + static_cast<double>(c10::multiply_integers(shape)), at::kFloat)
        .reshape(shape);
  };
  KvHeads heads{numbers(0, {kHeads, kDim, kWidth}), numbers(1000, {kHeads, kDim, kWidth}), {}, {}};
  if (biases) {
    heads.k_bias_KD = numbers(2000, {kHeads, kDim});
    heads.v_bias_KD = numbers(3000, {kHeads, kDim});
  }
  return heads;
}

TEST(MergeMethod, MeanIsTheMeanOverContiguousMembers) {
  const KvHeads heads = numbered_heads(true);
  const KvHeads merged = merge_method("mean").merge(heads, {.groups = 2});
  for (std::int64_t group = 0; group < 2; ++group) {
    at::Tensor sum = at::zeros({kDim, kWidth}), bias_sum = at::zeros({kDim});
    for (std::int64_t member = 3 * group; member < 3 * group + 3; ++member) {
      sum += heads.v_KDM[member];
      bias_sum += heads.k_bias_KD[member];
    }
    EXPECT_TRUE(at::allclose(merged.v_KDM[group], sum / 3));
    EXPECT_TRUE(at::allclose(merged.k_bias_KD[group], bias_sum / 3));
  }
}

TEST(MergeMethod, FirstKeepsTheFirstMember) {
  const KvHeads heads = numbered_heads(true);
  const KvHeads merged = merge_method("first").merge(heads, {.groups = 3});
  for (std::int64_t group = 0; group < 3; ++group) {
    EXPECT_TRUE(at::equal(merged.k_KDM[group], heads.k_KDM[2 * group]));
    EXPECT_TRUE(at::equal(merged.v_bias_KD[group], heads.v_bias_KD[2 * group]));
  }
}

TEST(MergeMethod, RandomDrawsAsTheModelIsInitialized) {
  KvHeads heads = numbered_heads(true);
  heads.k_KDM = at::ones({8, 64, 128});
  const MergeContext context{.groups = 4, .layer = 3, .seed = 11, .initializer_range = 0.02};
  const KvHeads merged =
      merge_method("random").merge({heads.k_KDM, heads.k_KDM, at::ones({8, 64}), {}}, context);
  EXPECT_NEAR(merged.k_KDM.std().item<double>(), 0.02, 0.0005);
  EXPECT_NEAR(merged.k_KDM.mean().item<double>(), 0, 0.0005);
  EXPECT_FALSE(at::equal(merged.k_KDM, merged.v_KDM)) << "keys and values are drawn apart";
  EXPECT_TRUE(at::equal(merged.k_bias_KD, at::zeros({4, 64})));
  const auto draw = [&](MergeContext changed) {
    return merge_method("random").merge({heads.k_KDM, heads.k_KDM, {}, {}}, changed).k_KDM;
  };
  EXPECT_TRUE(at::equal(draw(context), merged.k_KDM)) << "the same seed draws the same";
  EXPECT_FALSE(
      at::equal(draw({.groups = 4, .layer = 3, .seed = 12, .initializer_range = 0.02}), merged.k_KDM));
  EXPECT_FALSE(
      at::equal(draw({.groups = 4, .layer = 2, .seed = 11, .initializer_range = 0.02}), merged.k_KDM));
}

TEST(MergeMethod, EveryMethodKeepsShapesAndAbsentBiases) {
  for (const MergeMethod& method : merge_methods())
    for (const std::int64_t groups : {1, 2, 3, 6})
      for (const bool biases : {false, true}) {
        const KvHeads merged =
            method.merge(numbered_heads(biases), {.groups = groups, .initializer_range = 1});
        EXPECT_EQ(merged.k_KDM.sizes(), (at::IntArrayRef{groups, kDim, kWidth})) << method.name;
        EXPECT_EQ(merged.v_KDM.sizes(), (at::IntArrayRef{groups, kDim, kWidth})) << method.name;
        EXPECT_EQ(merged.k_bias_KD.defined(), biases) << method.name;
        if (biases) {
          EXPECT_EQ(merged.v_bias_KD.sizes(), (at::IntArrayRef{groups, kDim})) << method.name;
        }
        EXPECT_TRUE(merged.k_KDM.is_contiguous()) << method.name;
      }
}

TEST(MergeMethod, AnUnknownNameIsAnErrorThatListsTheNames) {
  try {
    merge_method("median");
    FAIL();
  } catch (const UserError& error) {
    EXPECT_STREQ(error.what(),
                 "--method: no such method: expected one of mean, first, random, found 'median'");
  }
}

}  // namespace
}  // namespace regroup::convert
