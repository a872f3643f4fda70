#include "core/model/linear_cross_entropy.h"

#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

namespace regroup::model {
namespace {

struct Case {
  at::Tensor hidden_NM, projection_VM, targets_N;
};

Case make_case(std::int64_t rows, std::int64_t hidden, std::int64_t vocab, at::ScalarType type) {
  at::manual_seed(1);
  return {at::randn({rows, hidden}, at::kDouble).to(type), at::randn({vocab, hidden}, at::kDouble).to(type),
          at::randint(vocab, {rows}, at::kLong)};
}

at::Tensor plain_sum(const at::Tensor& hidden_NM, const at::Tensor& projection_VM,
                     const at::Tensor& targets_N) {
  const at::Tensor log_p = at::log_softmax(at::mm(hidden_NM, projection_VM.t()), 1);
  return -log_p.gather(1, targets_N.unsqueeze(1)).sum();
}

double relative(const at::Tensor& a, const at::Tensor& b) {
  return ((a.to(at::kDouble) - b).norm() / b.norm()).item<double>();
}

// Loss and both gradients of factor · sum in float64, by autograd of the plain expression.
void expect_like_plain(const Case& c, double factor, double tolerance, at::ScalarType accumulator) {
  const at::Tensor hidden = c.hidden_NM.to(at::kDouble).requires_grad_();
  const at::Tensor projection = c.projection_VM.to(at::kDouble).requires_grad_();
  const at::Tensor sum = plain_sum(hidden, projection, c.targets_N);
  const auto gradients = torch::autograd::grad({sum * factor}, {hidden, projection});

  const at::Tensor before = at::ones_like(c.projection_VM, accumulator);
  const at::Tensor grad_projection = before.clone();
  const auto result =
      linear_cross_entropy(c.hidden_NM, {c.projection_VM, {}, grad_projection, {}}, c.targets_N, factor);
  EXPECT_NEAR(result.sum / sum.item<double>(), 1, tolerance);
  EXPECT_LT(relative(result.grad_hidden_NM, gradients[0]), tolerance);
  EXPECT_LT(relative(grad_projection.to(at::kDouble) - 1, gradients[1]), tolerance);
}

TEST(LinearCrossEntropy, EqualsThePlainLossInFloat64) {
  expect_like_plain(make_case(37, 12, 50, at::kDouble), 0.25, 1e-12, at::kDouble);
}

TEST(LinearCrossEntropy, AcrossChunksOfRows) {
  // 16,384 ids in float64 make chunks of 128 rows.
  expect_like_plain(make_case(300, 8, 16384, at::kDouble), 1, 1e-12, at::kDouble);
}

TEST(LinearCrossEntropy, CloseInFloat32AndBfloat16) {
  expect_like_plain(make_case(300, 16, 300, at::kFloat), 1 / 300., 1e-5, at::kFloat);
  // Logits and their gradients are rounded to 8 bits.
  expect_like_plain(make_case(300, 16, 300, at::kBFloat16), 1 / 300., 1e-2, at::kFloat);
}

TEST(LinearCrossEntropy, ABiasIsAColumnMore) {
  for (const at::ScalarType type : {at::kDouble, at::kBFloat16}) {
    const Case c = make_case(70, 6, 9, type);
    const at::Tensor bias_V = at::arange(9, c.projection_VM.options()).sin();
    const at::Tensor grad_projection = at::zeros_like(c.projection_VM, at::kDouble),
                     grad_bias_V = at::ones({9}, at::kDouble);
    const auto result = linear_cross_entropy(
        c.hidden_NM, {c.projection_VM, bias_V, grad_projection, grad_bias_V}, c.targets_N, 0.5);

    const at::Tensor hidden =
        at::cat({c.hidden_NM, at::ones_like(c.hidden_NM.narrow(1, 0, 1))}, 1).to(at::kDouble);
    const at::Tensor projection =
        at::cat({c.projection_VM, bias_V.unsqueeze(1)}, 1).to(at::kDouble).requires_grad_();
    const at::Tensor sum = plain_sum(hidden, projection, c.targets_N);
    const at::Tensor gradient = torch::autograd::grad({sum * 0.5}, {projection})[0];
    const double tolerance = type == at::kDouble ? 1e-12 : 2e-2;
    EXPECT_NEAR(result.sum / sum.item<double>(), 1, tolerance);
    EXPECT_LT(relative(grad_projection, gradient.narrow(1, 0, 6)), tolerance);
    EXPECT_LT(relative(grad_bias_V - 1, gradient.select(1, 6)), tolerance);
  }
}

TEST(LinearCrossEntropy, GradientsAreThoseOfFiniteDifferences) {
  const Case c = make_case(5, 6, 9, at::kDouble);
  const at::Tensor grad_projection = at::zeros_like(c.projection_VM);
  const auto result =
      linear_cross_entropy(c.hidden_NM, {c.projection_VM, {}, grad_projection, {}}, c.targets_N, 1);
  constexpr double kStep = 1e-5;
  const auto expect_slope = [&](const at::Tensor& variable, const at::Tensor& gradient, std::int64_t i) {
    double* value = variable.mutable_data_ptr<double>() + i;
    const double kept = *value;
    *value = kept + kStep;
    const double above = plain_sum(c.hidden_NM, c.projection_VM, c.targets_N).item<double>();
    *value = kept - kStep;
    const double below = plain_sum(c.hidden_NM, c.projection_VM, c.targets_N).item<double>();
    *value = kept;
    EXPECT_NEAR(gradient.flatten()[i].item<double>(), (above - below) / (2 * kStep), 1e-7) << i;
  };
  for (std::int64_t i = 0; i < c.hidden_NM.numel(); ++i) expect_slope(c.hidden_NM, result.grad_hidden_NM, i);
  for (std::int64_t i = 0; i < c.projection_VM.numel(); ++i)
    expect_slope(c.projection_VM, grad_projection, i);
}

}  // namespace
}  // namespace regroup::model
