#include <torch/csrc/autograd/autograd.h>

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "convert/refits/refits.h"
#include "core/base/random.h"
#include "core/model/decoder_layer.h"

namespace regroup::convert {
namespace {

using family::Part;

// Steps are relative to a matrix: models differ in the size of their weights by orders of magnitude. Measured
// in docs/methods.md.
constexpr std::int64_t kBatch = 2;  // windows a step
constexpr double kRate = 0.05, kWarmup = 0.05, kFirstBeta = 0.9, kSecondBeta = 0.95, kEpsilon = 1e-12;

// A projection in training.
struct Trained {
  at::Tensor value, gradient_mean, gradient_square, steps;
  double size = 0;  // root mean square at the start
};

std::vector<Trained> start_training(model::Weights& weights, const RefitProblem& problem, bool has_bias) {
  std::vector<Part> parts = {Part::kQueryWeight, Part::kKeyWeight, Part::kValueWeight, Part::kOutputWeight};
  if (has_bias) parts.insert(parts.end(), {Part::kQueryBias, Part::kKeyBias, Part::kValueBias});
  std::vector<Trained> all;
  for (const Part part : parts) {
    at::Tensor& value = weights.at({part, problem.layer});
    value = value.detach().clone().set_requires_grad(true);
    const at::Tensor& plain = value.detach();
    all.push_back({.value = value,
                   .gradient_mean = at::zeros_like(plain),
                   .gradient_square = at::zeros_like(plain),
                   .steps = at::zeros({}, at::kFloat),
                   .size = plain.square().mean().sqrt().item<double>()});
  }
  return all;
}

// Linear warm-up, then half a cosine to zero.
double rate_at(std::int64_t step, std::int64_t steps) {
  const double done = (static_cast<double>(step) + 0.5) / static_cast<double>(steps);
  if (done < kWarmup) return kRate * done / kWarmup;
  return kRate * 0.5 * (1 + std::cos(M_PI * (done - kWarmup) / (1 - kWarmup)));
}

void update(std::vector<Trained>& all, double rate) {
  for (Trained& trained : all) {
    at::Tensor plain = trained.value.detach();
    trained.steps += 1;
    at::_fused_adam_({plain}, {trained.value.grad()}, {trained.gradient_mean}, {trained.gradient_square}, {},
                     {trained.steps}, rate * trained.size, kFirstBeta, kSecondBeta, /*weight_decay=*/0,
                     kEpsilon, /*amsgrad=*/false, /*maximize=*/false);
    trained.value.mutable_grad().reset();
  }
}

std::vector<std::int64_t> shuffled(std::int64_t count, RandomStream& stream) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  for (std::size_t i = order.size() - 1; i > 0; --i) std::swap(order[i], order[stream.below(i + 1)]);
  return order;
}

// Of the targets that are learned from.
double mean_square(const RefitProblem& problem) {
  double sum = 0;
  for (std::int64_t begin = 0; begin < problem.training; begin += kWindowsAtATime) {
    const at::Tensor target = problem.target(begin, std::min(kWindowsAtATime, problem.training - begin));
    sum += (target.square() * problem.weight_T1).sum(at::kDouble).item<double>();
  }
  return sum / static_cast<double>(problem.training * problem.tokens() * problem.target_WTM.size(2));
}

}  // namespace

AttentionLayer fit_reconstruct(const RefitProblem& problem, const AttentionLayer& student) {
  model::Weights weights = weights_with(problem, student);
  std::vector<Trained> trained = start_training(weights, problem, student.has_bias());
  const model::DecoderLayer layer(problem.config, weights, problem.layer);
  const double scale = mean_square(problem);
  const std::int64_t batches = (problem.training + kBatch - 1) / kBatch;
  RandomStream random(0, "convert/reconstruct/" + std::to_string(problem.layer));
  std::int64_t step = 0;
  for (int epoch = 0; epoch < kReconstructEpochs; ++epoch) {
    const at::Tensor order = at::tensor(shuffled(problem.training, random), at::kLong);
    for (std::int64_t begin = 0; begin < problem.training; begin += kBatch) {
      const at::Tensor rows = order.narrow(0, begin, std::min(kBatch, problem.training - begin));
      at::Tensor input_BTM, target_BTM;
      {
        const at::NoGradGuard no_grad;
        input_BTM =
            layer.attention_input(problem.student_stream_WTM.index_select(0, rows).to(problem.device()));
        target_BTM = problem.target_WTM.index_select(0, rows).to(problem.device());
      }
      {
        const at::AutoGradMode with_gradients(true);
        const at::Tensor output_BTM = layer.attention_output(layer.heads(input_BTM, problem.rotation));
        const at::Tensor loss = ((output_BTM - target_BTM).square() * problem.weight_T1).mean() / scale;
        loss.backward();
      }
      update(trained, rate_at(step++, batches * kReconstructEpochs));
      if (problem.done) problem.done(3.0 * static_cast<double>(rows.size(0) * problem.tokens()));
    }
  }
  return projections_of(problem, weights, student);
}

}  // namespace regroup::convert
