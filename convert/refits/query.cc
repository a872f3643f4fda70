// With keys fixed, attention logits are linear in a query's factors: complex ones b_f for each rotary pair,
// real ones for each coordinate that positions leave alone. logit_tu = sum_f Re(b_f q_t,f conj(k_u,f)) ·
// scale = phi_tu · [Re b; Im b] for pairs. So the divergence E_t KL(source's attention ‖ student's) is convex
// in b, a multinomial regression with D unknowns a head, and Newton's method finds its minimum.
#include <algorithm>
#include <cmath>
#include <limits>

#include "convert/head_statistics.h"
#include "convert/refits/refits.h"
#include "core/base/random.h"

namespace regroup::convert {
namespace {

constexpr std::int64_t kRowsAWindow = 32;  // positions whose attention is fitted
constexpr int kMostSteps = 8, kMostHalvings = 6;
constexpr double kRidge = 1e-3;  // towards b = 1, of the mean curvature

// Heads of [S, T, N] inputs at their positions, [S, heads, T, D].
at::Tensor heads_at_positions(const at::Tensor& heads_HDN, const at::Tensor& input_STM,
                              const model::Rotation& rotation) {
  at::Tensor input = input_STM;
  if (heads_HDN.size(2) > input.size(2)) input = at::cat({input, at::ones_like(input.narrow(2, 0, 1))}, 2);
  const at::Tensor weight = heads_HDN.flatten(0, 1).to(input.options());
  return model::rotate(at::matmul(input, weight.t()).unflatten(2, {-1, heads_HDN.size(1)}).transpose(1, 2),
                       rotation);
}

// What the unknowns of a head multiply, [S, R, T, D]: real parts of pairs, imaginary ones, free coordinates.
at::Tensor features(const at::Tensor& q_SRD, const at::Tensor& k_STD, std::int64_t rotary_dims) {
  const std::int64_t pairs = rotary_dims / 2, free = q_SRD.size(2) - rotary_dims;
  const auto product = [&](std::int64_t of_query, std::int64_t of_key, std::int64_t count) {
    return q_SRD.narrow(2, of_query, count).unsqueeze(2) * k_STD.narrow(2, of_key, count).unsqueeze(1);
  };
  return at::cat(
      {product(0, 0, pairs) + product(pairs, pairs, pairs),
       product(0, pairs, pairs) - product(pairs, 0, pairs), product(rotary_dims, rotary_dims, free)},
      3);
}

// A query head [D, N] by its factors.
at::Tensor multiplied(const at::Tensor& q_DN, const at::Tensor& b_D, std::int64_t rotary_dims) {
  const std::int64_t pairs = rotary_dims / 2, free = q_DN.size(0) - rotary_dims;
  const at::Tensor factor_C1 = at::complex(b_D.narrow(0, 0, pairs), b_D.narrow(0, pairs, pairs)).unsqueeze(1);
  const at::Tensor turned = from_pairs(as_pairs(q_DN.narrow(0, 0, rotary_dims)) *
                                       factor_C1.to(at::toComplexType(q_DN.scalar_type())));
  const at::Tensor factor_E1 = b_D.narrow(0, rotary_dims, free).to(q_DN.scalar_type()).unsqueeze(1);
  return at::cat({turned, q_DN.narrow(0, rotary_dims, free) * factor_E1}, 0);
}

// Positions to fit, [R], ascending, the same for every window.
at::Tensor sampled_rows(std::int64_t tokens) {
  RandomStream stream(0, "convert/query-refit");
  std::vector<std::int64_t> rows;
  for (std::int64_t i = 0; i < std::min(kRowsAWindow, tokens - 1); ++i)
    rows.push_back(1 + static_cast<std::int64_t>(stream.below(static_cast<std::uint64_t>(tokens - 1))));
  std::ranges::sort(rows);
  return at::tensor(rows, at::kLong);
}

// The regression of one head: R rows over T positions, D unknowns.
struct Regression {
  at::Tensor features_RTD, target_RT, future_RT;

  at::Tensor probabilities(const at::Tensor& b_D) const {
    return at::matmul(features_RTD, b_D)
        .masked_fill(future_RT, -std::numeric_limits<double>::infinity())
        .softmax(-1);
  }
  // Cross-entropy of the source's attention under the student's: the divergence, but for a constant.
  double loss(const at::Tensor& b_D, const at::Tensor& start_D, double ridge) const {
    const at::Tensor log_p_RT = at::matmul(features_RTD, b_D)
                                    .masked_fill(future_RT, -std::numeric_limits<double>::infinity())
                                    .log_softmax(-1)
                                    .masked_fill(future_RT, 0);
    return -(target_RT * log_p_RT).sum(at::kDouble).item<double>() / static_cast<double>(target_RT.size(0)) +
           0.5 * ridge * (b_D - start_D).square().sum(at::kDouble).item<double>();
  }
};

at::Tensor fit_head(const Regression& problem, std::int64_t rotary_dims) {
  const std::int64_t dim = problem.features_RTD.size(2), rows = problem.features_RTD.size(0);
  at::Tensor start_D = at::ones({dim}, problem.features_RTD.options());
  start_D.narrow(0, rotary_dims / 2, rotary_dims / 2).zero_();
  at::Tensor b_D = start_D;
  double ridge = 0, loss = std::numeric_limits<double>::infinity();
  for (int step = 0; step < kMostSteps; ++step) {
    const at::Tensor p_RT = problem.probabilities(b_D);
    const at::Tensor mean_RD = at::matmul(p_RT.unsqueeze(1), problem.features_RTD).squeeze(1);
    const at::Tensor rooted = (problem.features_RTD * p_RT.sqrt().unsqueeze(2)).flatten(0, 1);
    at::Tensor curvature_DD =
        ((at::matmul(rooted.t(), rooted) - at::matmul(mean_RD.t(), mean_RD)) / static_cast<double>(rows))
            .to(at::kDouble);
    if (step == 0) {
      ridge = kRidge * curvature_DD.trace().item<double>() / static_cast<double>(dim) + 1e-12;
      loss = problem.loss(b_D, start_D, ridge);
    }
    curvature_DD.diagonal().add_(ridge);
    const at::Tensor slope_D =
        at::matmul((p_RT - problem.target_RT).flatten(), problem.features_RTD.flatten(0, 1)) /
            static_cast<double>(rows) +
        ridge * (b_D - start_D);
    const at::Tensor newton_D = at::linalg_solve(curvature_DD, slope_D.to(at::kDouble)).to(b_D.scalar_type());
    double length = 1;
    at::Tensor next_D;
    double lower = loss;
    for (int halving = 0; halving < kMostHalvings && !(lower < loss); ++halving, length /= 2) {
      next_D = b_D - length * newton_D;
      lower = problem.loss(next_D, start_D, ridge);
    }
    if (!(lower < loss)) break;
    const bool settled = loss - lower < 1e-6 * std::abs(loss);
    b_D = next_D;
    loss = lower;
    if (settled) break;
  }
  return b_D;
}

}  // namespace

AttentionLayer fit_query(const RefitProblem& problem, const AttentionLayer& student) {
  const std::int64_t windows = problem.source_input_STM.size(0), tokens = problem.tokens(),
                     rotary_dims = student.rotary_dims, group = student.group(),
                     source_group = problem.source.group();
  const double scale = problem.config.attention_scale;
  const at::Tensor source_input = problem.source_input_STM.to(problem.device()),
                   input = problem.input(0, windows);
  const at::Tensor rows_R = sampled_rows(tokens).to(problem.device());
  const auto heads = [&](const at::Tensor& weight, const at::Tensor& of_input) {
    return heads_at_positions(weight, of_input, problem.rotation);
  };
  const at::Tensor source_q = heads(problem.source.q_HDN, source_input).index_select(2, rows_R),
                   source_k = heads(problem.source.k_KDN, source_input),
                   q_SHRD = heads(student.q_HDN, input).index_select(2, rows_R),
                   k_SGTD = heads(student.k_KDN, input);
  const at::Tensor future_RT =
      (at::arange(tokens, rows_R.options()).unsqueeze(0) > rows_R.unsqueeze(1)).repeat({windows, 1});
  AttentionLayer fitted = student;
  fitted.q_HDN = student.q_HDN.clone();
  for (std::int64_t head = 0; head < student.q_HDN.size(0); ++head) {
    const at::Tensor source_logits =
        at::matmul(source_q.select(1, head), source_k.select(1, head / source_group).transpose(1, 2));
    const Regression regression{
        .features_RTD =
            features(q_SHRD.select(1, head), k_SGTD.select(1, head / group), rotary_dims).flatten(0, 1) *
            scale,
        .target_RT = (source_logits.flatten(0, 1) * scale)
                         .masked_fill(future_RT, -std::numeric_limits<double>::infinity())
                         .softmax(-1),
        .future_RT = future_RT};
    const at::Tensor b_D = fit_head(regression, rotary_dims).cpu();
    fitted.q_HDN[head].copy_(multiplied(student.q_HDN[head], b_D, rotary_dims));
    if (problem.done)
      problem.done(static_cast<double>(problem.training * tokens) /
                   static_cast<double>(student.q_HDN.size(0)));
  }
  return fitted;
}

}  // namespace regroup::convert
