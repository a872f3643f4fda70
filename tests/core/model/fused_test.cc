// The fused passes against the plain expressions, which are computed in float64 from the same inputs and
// differentiated by autograd (whose own gradients are checked against finite differences below).
#include "core/model/fused.h"

#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "core/base/error.h"
#include "core/model/fused_attention.h"

namespace regroup::model {
namespace {

using Tensors = std::vector<at::Tensor>;
using Expression = std::function<at::Tensor(const Tensors&)>;

// Eight bits of mantissa, or twenty-four, rounded a few times on the way.
constexpr double kTolerance = 6e-3, kFloatTolerance = 3e-7;

at::Tensor random(at::IntArrayRef shape) {
  return at::randn(shape, at::kDouble);
}

at::Tensor random_heads(std::int64_t batch, std::int64_t heads, std::int64_t tokens, std::int64_t dim) {
  return random({batch, tokens, heads, dim}).transpose(1, 2);
}

double relative(const at::Tensor& a, const at::Tensor& b) {
  return (a.to(at::kDouble) - b).norm().item<double>() / std::max(b.norm().item<double>(), 1e-3);
}

Tensors leaves(const Tensors& inputs, at::ScalarType type) {
  Tensors result;
  for (const at::Tensor& x : inputs) result.push_back(x.detach().to(type).requires_grad_());
  return result;
}

void expect_same(const Expression& fused, const Expression& plain, const Tensors& inputs,
                 at::ScalarType type = at::kBFloat16) {
  SCOPED_TRACE(at::toString(type));
  const double tolerance = type == at::kFloat ? kFloatTolerance : kTolerance;
  const Tensors narrow = leaves(inputs, type), wide = leaves(narrow, at::kDouble);
  const at::Tensor y = fused(narrow), expected = plain(wide);
  ASSERT_EQ(y.sizes(), expected.sizes());
  ASSERT_EQ(y.scalar_type(), type);
  EXPECT_LT(relative(y, expected), tolerance);
  const at::Tensor dy = random(y.sizes()).to(type);
  const auto gradients = torch::autograd::grad({y}, narrow, {dy});
  const auto expected_gradients = torch::autograd::grad({expected}, wide, {dy.to(at::kDouble)});
  for (std::size_t i = 0; i < inputs.size(); ++i)
    EXPECT_LT(relative(gradients[i], expected_gradients[i]), tolerance) << "gradient of input " << i;
}

void expect_same_in_both_types(const Expression& fused, const Expression& plain, const Tensors& inputs) {
  for (const at::ScalarType type : {at::kBFloat16, at::kFloat}) expect_same(fused, plain, inputs, type);
}

// Central differences of the sum of plain(inputs) · weights in float64.
void expect_finite_differences(const Expression& plain, const Tensors& inputs) {
  Tensors wide;
  for (const at::Tensor& x : inputs) wide.push_back(x.to(at::kDouble).contiguous().requires_grad_());
  const at::Tensor y = plain(wide), weights = at::randn_like(y);
  const auto gradients = torch::autograd::grad({y}, wide, {weights});
  constexpr double kStep = 1e-5;
  const at::NoGradGuard no_grad;
  for (std::size_t k = 0; k < wide.size(); ++k)
    for (std::int64_t i = 0; i < wide[k].numel(); i += 1 + wide[k].numel() / 16) {
      at::Tensor element = wide[k].view(-1)[i];
      element.add_(kStep);
      const double above = (plain(wide) * weights).sum().item<double>();
      element.sub_(2 * kStep);
      const double below = (plain(wide) * weights).sum().item<double>();
      element.add_(kStep);
      EXPECT_NEAR(gradients[k].reshape(-1)[i].item<double>(), (above - below) / (2 * kStep), 1e-6);
    }
}

at::Tensor plain_attention(const Tensors& x, double scale) {
  const std::int64_t group = x[0].size(1) / x[1].size(1), tokens = x[0].size(2);
  const at::Tensor k = x[1].repeat_interleave(group, 1), v = x[2].repeat_interleave(group, 1);
  const at::Tensor future = at::ones({tokens, tokens}, at::kBool).triu(1);
  const at::Tensor scores = at::matmul(x[0], k.transpose(2, 3)) * scale;
  return at::matmul(scores.masked_fill(future, -INFINITY).softmax(-1), v);
}

void expect_same_attention(std::int64_t heads, std::int64_t kv_heads, std::int64_t tokens, std::int64_t dim) {
  SCOPED_TRACE("H " + std::to_string(heads) + " K " + std::to_string(kv_heads) + " T " +
               std::to_string(tokens) + " D " + std::to_string(dim));
  const double scale = 1 / std::sqrt(static_cast<double>(dim));
  const Tensors inputs = leaves({random_heads(2, heads, tokens, dim), random_heads(2, kv_heads, tokens, dim),
                                 random_heads(2, kv_heads, tokens, dim)},
                                at::kBFloat16);
  if (!fused_attention_applies(inputs[0], inputs[1], inputs[2]))
    GTEST_SKIP() << "this machine has no small bfloat16 products";
  expect_same([&](const Tensors& x) { return fused_causal_attention(x[0], x[1], x[2], scale); },
              [&](const Tensors& x) { return plain_attention(x, scale); }, inputs);
}

TEST(FusedAttention, EqualsThePlainOne) {
  at::manual_seed(2);
  expect_same_attention(4, 4, 64, 16);    // one block
  expect_same_attention(4, 2, 131, 32);   // groups, an odd number of tokens, a last block of three rows
  expect_same_attention(3, 1, 200, 18);   // one shared head, head_dim no multiple of anything
  expect_same_attention(1, 1, 1, 64);     // one token
  expect_same_attention(2, 1, 1025, 64);  // blocks of fewer rows
}

TEST(FusedAttention, PlainGradientsAreThoseOfFiniteDifferences) {
  at::manual_seed(3);
  expect_finite_differences([](const Tensors& x) { return plain_attention(x, 0.5); },
                            {random_heads(1, 2, 5, 4), random_heads(1, 1, 5, 4), random_heads(1, 1, 5, 4)});
}

TEST(FusedAttention, SurvivesLargeScores) {
  at::manual_seed(4);
  const at::Tensor q = (random_heads(1, 1, 70, 16) * 100).to(at::kBFloat16),
                   v = random_heads(1, 1, 70, 16).to(at::kBFloat16);
  if (!fused_attention_applies(q, q, v)) GTEST_SKIP() << "this machine has no small bfloat16 products";
  const at::Tensor y = fused_causal_attention(q, q, v, 1);
  EXPECT_LT(relative(y, plain_attention({q.to(at::kDouble), q.to(at::kDouble), v.to(at::kDouble)}, 1)),
            kTolerance);
}

TEST(FusedAttention, RefusesWhatItCannotTake) {
  const at::Tensor half = random_heads(1, 2, 8, 16).to(at::kBFloat16);
  EXPECT_FALSE(fused_attention_applies(half.to(at::kFloat), half, half));
  EXPECT_FALSE(fused_attention_applies(half.narrow(2, 0, 4), half, half));
  const at::Tensor odd = random_heads(1, 2, 8, 15).to(at::kBFloat16);
  EXPECT_FALSE(fused_attention_applies(odd, odd, odd));
}

at::Tensor plain_norm(const Tensors& x) {
  return x[0] * at::rsqrt(x[0].square().mean(-1, true) + 1e-3) * x[1];
}

TEST(Fused, RmsNorm) {
  at::manual_seed(5);
  // 300 rows: the sums of d weight cross a block.
  expect_same_in_both_types([](const Tensors& x) { return fused::rms_norm(x[0], x[1], 1e-3); }, plain_norm,
                            {random({3, 100, 37}), random({37})});
  expect_finite_differences(plain_norm, {random({3, 7}), random({7})});
}

at::Tensor plain_swiglu(const Tensors& x) {
  return at::silu(x[0]) * x[1];
}

TEST(Fused, Swiglu) {
  at::manual_seed(6);
  expect_same_in_both_types([](const Tensors& x) { return fused::swiglu(x[0], x[1]); }, plain_swiglu,
                            {random({2, 5, 33}) * 4, random({2, 5, 33})});
  expect_finite_differences(plain_swiglu, {random({3, 7}), random({3, 7})});
  for (const at::ScalarType type : {at::kBFloat16, at::kFloat}) {
    const at::Tensor extreme = at::tensor({-200., -90., 90., 200.}).to(type);
    const at::Tensor y = fused::swiglu(extreme, at::ones_like(extreme));
    EXPECT_TRUE(at::allclose(y.to(at::kFloat), at::silu(extreme.to(at::kFloat)), 1e-2, 1e-30)) << y;
  }
}

TEST(Fused, Rotate) {
  at::manual_seed(7);
  const at::Tensor angles = at::randn({9, 6}, at::kDouble);
  const auto plain = [&](const Tensors& x) {
    const auto halves = x[0].chunk(2, -1);
    const at::Tensor c = angles.cos(), s = angles.sin();
    return at::cat({halves[0] * c - halves[1] * s, halves[1] * c + halves[0] * s}, -1);
  };
  expect_same_in_both_types(
      [&](const Tensors& x) {
        return fused::rotate(x[0], angles.cos().to(at::kFloat), angles.sin().to(at::kFloat));
      },
      plain, {random_heads(2, 3, 9, 12)});
  expect_finite_differences(plain, {random_heads(1, 2, 9, 12)});
}

TEST(Fused, TakesFloat32AndBfloat16OfOneType) {
  const at::Tensor x = random({2, 8});
  EXPECT_FALSE(fused::applies(x));
  EXPECT_FALSE(fused::applies(x.to(at::kHalf)));
  EXPECT_FALSE(fused::applies(x.to(at::kFloat).t()));
  EXPECT_TRUE(fused::applies(x.to(at::kFloat)));
  EXPECT_THROW(fused::swiglu(x.to(at::kFloat), x.to(at::kBFloat16)), InternalError);
}

TEST(Fused, EmbeddingSumsFrequentTokensInFloat32) {
  const at::Tensor table = random({5, 8}).to(at::kBFloat16).requires_grad_();
  const at::Tensor tokens = at::ones({1, 1000}, at::kLong);
  const at::Tensor y = fused::embedding(table, tokens);
  EXPECT_TRUE(at::equal(y[0][7], table[1]));
  const auto gradients = torch::autograd::grad({y}, {table}, {at::ones_like(y)});
  EXPECT_EQ(gradients[0][1][0].item<float>(), 1000);  // bfloat16 sums of ones stop at 256
  EXPECT_EQ(gradients[0][0].abs().sum().item<float>(), 0);
}

}  // namespace
}  // namespace regroup::model
