#include "core/model/output_loss.h"

#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <vector>

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
      cross_entropy_loss(c.hidden_NM, {c.projection_VM, {}, grad_projection, {}}, c.targets_N, factor);
  EXPECT_NEAR(result.cross_entropy / sum.item<double>(), 1, tolerance);
  EXPECT_LT(relative(result.grad_hidden_NM, gradients[0]), tolerance);
  EXPECT_LT(relative(grad_projection.to(at::kDouble) - 1, gradients[1]), tolerance);
}

TEST(OutputLoss, EqualsThePlainLossInFloat64) {
  expect_like_plain(make_case(37, 12, 50, at::kDouble), 0.25, 1e-12, at::kDouble);
}

TEST(OutputLoss, AcrossChunksOfRows) {
  // 16,384 ids in float64 make chunks of 128 rows.
  expect_like_plain(make_case(300, 8, 16384, at::kDouble), 1, 1e-12, at::kDouble);
}

TEST(OutputLoss, CloseInFloat32AndBfloat16) {
  expect_like_plain(make_case(300, 16, 300, at::kFloat), 1 / 300., 1e-5, at::kFloat);
  // Logits and their gradients are rounded to 8 bits.
  expect_like_plain(make_case(300, 16, 300, at::kBFloat16), 1 / 300., 1e-2, at::kFloat);
}

TEST(OutputLoss, ABiasIsAColumnMore) {
  for (const at::ScalarType type : {at::kDouble, at::kBFloat16}) {
    const Case c = make_case(70, 6, 9, type);
    const at::Tensor bias_V = at::arange(9, c.projection_VM.options()).sin();
    const at::Tensor grad_projection = at::zeros_like(c.projection_VM, at::kDouble),
                     grad_bias_V = at::ones({9}, at::kDouble);
    const auto result = cross_entropy_loss(
        c.hidden_NM, {c.projection_VM, bias_V, grad_projection, grad_bias_V}, c.targets_N, 0.5);

    const at::Tensor hidden =
        at::cat({c.hidden_NM, at::ones_like(c.hidden_NM.narrow(1, 0, 1))}, 1).to(at::kDouble);
    const at::Tensor projection =
        at::cat({c.projection_VM, bias_V.unsqueeze(1)}, 1).to(at::kDouble).requires_grad_();
    const at::Tensor sum = plain_sum(hidden, projection, c.targets_N);
    const at::Tensor gradient = torch::autograd::grad({sum * 0.5}, {projection})[0];
    const double tolerance = type == at::kDouble ? 1e-12 : 2e-2;
    EXPECT_NEAR(result.cross_entropy / sum.item<double>(), 1, tolerance);
    EXPECT_LT(relative(grad_projection, gradient.narrow(1, 0, 6)), tolerance);
    EXPECT_LT(relative(grad_bias_V - 1, gradient.select(1, 6)), tolerance);
  }
}

TEST(OutputLoss, GradientsAreThoseOfFiniteDifferences) {
  const Case c = make_case(5, 6, 9, at::kDouble);
  const at::Tensor grad_projection = at::zeros_like(c.projection_VM);
  const auto result =
      cross_entropy_loss(c.hidden_NM, {c.projection_VM, {}, grad_projection, {}}, c.targets_N, 1);
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

struct Pair {
  Case student;
  at::Tensor teacher_hidden_NM, teacher_projection_VM;
};

Pair make_pair(std::int64_t rows, std::int64_t hidden, std::int64_t vocab, at::ScalarType type) {
  const Case student = make_case(rows, hidden, vocab, type);
  const auto near = [&](const at::Tensor& x) { return (x + 0.2 * at::randn_like(x)).to(type); };
  return {student, near(student.hidden_NM), near(student.projection_VM)};
}

struct PlainDistillation {
  at::Tensor objective, divergence, cross_entropy;
};

// As the header says it, in float64 and with all logits at once; rows of negative targets left out.
PlainDistillation plain_distillation(const Pair& pair, const at::Tensor& hidden_NM,
                                     const at::Tensor& projection_VM, const Distillation& d) {
  const at::Tensor rows = at::nonzero(pair.student.targets_N >= 0).flatten();
  const auto logits = [&](const at::Tensor& hidden, const at::Tensor& projection) {
    return at::mm(hidden.to(at::kDouble).index_select(0, rows), projection.to(at::kDouble).t());
  };
  const at::Tensor z = logits(hidden_NM, projection_VM),
                   log_p = at::log_softmax(
                       logits(pair.teacher_hidden_NM, pair.teacher_projection_VM) / d.temperature, 1),
                   log_q = at::log_softmax(z / d.temperature, 1);
  PlainDistillation plain;
  plain.divergence = (log_p.exp() * (log_p - log_q)).sum();
  plain.cross_entropy =
      -at::log_softmax(z, 1).gather(1, pair.student.targets_N.index_select(0, rows).unsqueeze(1)).sum();
  plain.objective = (1 - d.cross_entropy_share) * d.temperature * d.temperature * plain.divergence +
                    d.cross_entropy_share * plain.cross_entropy;
  return plain;
}

void expect_distillation_like_plain(const Pair& pair, const Distillation& d, double tolerance,
                                    at::ScalarType accumulator) {
  constexpr double kFactor = 0.25;
  const at::Tensor hidden = pair.student.hidden_NM.to(at::kDouble).requires_grad_();
  const at::Tensor projection = pair.student.projection_VM.to(at::kDouble).requires_grad_();
  const PlainDistillation plain = plain_distillation(pair, hidden, projection, d);
  const auto gradients = torch::autograd::grad({plain.objective * kFactor}, {hidden, projection});
  const at::Tensor grad_projection = at::ones_like(pair.student.projection_VM, accumulator);
  const OutputLoss result = distillation_loss(
      pair.student.hidden_NM, {pair.student.projection_VM, {}, grad_projection, {}},
      {pair.teacher_hidden_NM, {pair.teacher_projection_VM, {}}}, pair.student.targets_N, d, kFactor);
  EXPECT_NEAR(result.divergence / plain.divergence.item<double>(), 1, tolerance);
  EXPECT_NEAR(result.cross_entropy / plain.cross_entropy.item<double>(), 1, tolerance);
  EXPECT_LT(relative(result.grad_hidden_NM, gradients[0]), tolerance);
  EXPECT_LT(relative(grad_projection.to(at::kDouble) - 1, gradients[1]), tolerance);
}

const std::vector<Distillation> kDistillations{{.temperature = 1, .cross_entropy_share = 0},
                                               {.temperature = 1, .cross_entropy_share = 0.3},
                                               {.temperature = 2, .cross_entropy_share = 0},
                                               {.temperature = 0.7, .cross_entropy_share = 0.6}};

TEST(Distillation, EqualsThePlainLossInFloat64) {
  for (const Distillation& d : kDistillations)
    expect_distillation_like_plain(make_pair(37, 12, 50, at::kDouble), d, 1e-12, at::kDouble);
  // 16,384 ids in float64 make chunks of 128 rows.
  expect_distillation_like_plain(make_pair(300, 8, 16384, at::kDouble), {}, 1e-11, at::kDouble);
}

TEST(Distillation, CloseInFloat32AndBfloat16) {
  for (const Distillation& d : kDistillations) {
    expect_distillation_like_plain(make_pair(300, 16, 301, at::kFloat), d, 1e-4, at::kFloat);
    // Logits and their gradients are rounded to 8 bits.
    expect_distillation_like_plain(make_pair(300, 16, 301, at::kBFloat16), d, 3e-2, at::kFloat);
  }
}

TEST(Distillation, RowsOfNegativeTargetsCountForNothing) {
  for (const at::ScalarType type : {at::kDouble, at::kBFloat16}) {
    Pair pair = make_pair(40, 12, 50, type);
    pair.student.targets_N.narrow(0, 5, 20).fill_(-1);
    const bool exact = type == at::kDouble;
    expect_distillation_like_plain(pair, {.cross_entropy_share = 0.3}, exact ? 1e-12 : 2e-2,
                                   exact ? at::kDouble : at::kFloat);
    const at::Tensor grad_projection = at::zeros_like(pair.student.projection_VM, at::kDouble);
    const OutputLoss plain =
        cross_entropy_loss(pair.student.hidden_NM, {pair.student.projection_VM, {}, grad_projection, {}},
                           pair.student.targets_N, 1);
    EXPECT_EQ(plain.grad_hidden_NM.narrow(0, 5, 20).abs().max().item<double>(), 0);
    EXPECT_GT(plain.grad_hidden_NM.narrow(0, 25, 15).abs().max().item<double>(), 0);
  }
}

TEST(Distillation, AStudentThatIsItsTeacherHasNothingToLearn) {
  for (const at::ScalarType type : {at::kDouble, at::kBFloat16}) {
    const Case c = make_case(40, 12, 50, type);
    const at::Tensor grad_projection = at::zeros_like(c.projection_VM, at::kDouble);
    const OutputLoss result =
        distillation_loss(c.hidden_NM, {c.projection_VM, {}, grad_projection, {}},
                          {c.hidden_NM, {c.projection_VM, {}}}, c.targets_N, {.temperature = 2}, 1);
    EXPECT_NEAR(result.divergence, 0, 1e-4);
    // Not to the last bit: a fused multiply-add rounds one of the two products and not the other.
    EXPECT_LT(result.grad_hidden_NM.abs().max().item<double>(), 1e-6);
    EXPECT_LT(grad_projection.abs().max().item<double>(), 1e-6);
  }
}

}  // namespace
}  // namespace regroup::model
