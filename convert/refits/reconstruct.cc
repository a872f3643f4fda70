#include <torch/csrc/autograd/autograd.h>

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "convert/refits/refits.h"
#include "core/base/random.h"
#include "core/model/decoder.h"
#include "core/model/device.h"

namespace regroup::convert {
namespace {

using family::Part;

// Steps are relative to a matrix: models differ in the size of their weights by orders of magnitude. Measured
// in docs/methods.md.
constexpr std::int64_t kBatch = 2;  // windows a step
constexpr double kRate = 0.05, kWarmup = 0.05, kFirstBeta = 0.9, kSecondBeta = 0.95, kEpsilon = 1e-12;

// A projection in training: its master, in the type of the problem, and what Adam remembers.
struct Trained {
  model::WeightKey key;
  at::Tensor master, gradient_mean, gradient_square, steps;
  double size = 0;  // root mean square at the start
};

// What the layer computes in: bfloat16 where that is several times faster, with masters and errors in
// float32. Errors of a merge are far above its roundings, and targets are not rounded.
at::ScalarType compute_type(const at::Tensor& master) {
  const bool fast = master.scalar_type() == at::kFloat && model::fast_in_bfloat16(master.device());
  return fast ? at::kBFloat16 : master.scalar_type();
}

std::vector<Trained> start_training(const model::Weights& weights, const RefitProblem& problem,
                                    bool has_bias) {
  std::vector<Part> parts = {Part::kQueryWeight, Part::kKeyWeight, Part::kValueWeight, Part::kOutputWeight};
  if (has_bias) parts.insert(parts.end(), {Part::kQueryBias, Part::kKeyBias, Part::kValueBias});
  std::vector<Trained> all;
  for (const Part part : parts) {
    const at::Tensor master = weights.at({part, problem.layer}).clone();
    all.push_back({.key = {part, problem.layer},
                   .master = master,
                   .gradient_mean = at::zeros_like(master),
                   .gradient_square = at::zeros_like(master),
                   .steps = at::zeros({}, master.options().dtype(at::kFloat)),
                   .size = master.square().mean().sqrt().item<double>()});
  }
  return all;
}

// Linear warm-up, then half a cosine to zero.
double rate_at(std::int64_t step, std::int64_t steps) {
  const double done = (static_cast<double>(step) + 0.5) / static_cast<double>(steps);
  if (done < kWarmup) return kRate * done / kWarmup;
  return kRate * 0.5 * (1 + std::cos(M_PI * (done - kWarmup) / (1 - kWarmup)));
}

// Puts the masters' values in place, to be differentiated by: the masters themselves where they are of the
// type that is computed in.
void place(const std::vector<Trained>& all, model::Weights& weights) {
  for (const Trained& trained : all)
    weights[trained.key] = trained.master.to(compute_type(trained.master)).detach().set_requires_grad(true);
}

void update(std::vector<Trained>& all, const model::Weights& weights, double rate) {
  for (Trained& trained : all) {
    const at::Tensor gradient = weights.at(trained.key).grad().to(trained.master.scalar_type());
    trained.steps += 1;
    at::_fused_adam_({trained.master}, {gradient}, {trained.gradient_mean}, {trained.gradient_square}, {},
                     {trained.steps}, rate * trained.size, kFirstBeta, kSecondBeta, /*weight_decay=*/0,
                     kEpsilon, /*amsgrad=*/false, /*maximize=*/false);
  }
}

std::vector<std::int64_t> shuffled(std::int64_t count, RandomStream& stream) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  for (std::size_t i = order.size() - 1; i > 0; --i) std::swap(order[i], order[stream.below(i + 1)]);
  return order;
}

// What attention reads on windows `rows`.
at::Tensor input_of(const RefitProblem& problem, const at::Tensor& rows) {
  return model::DecoderLayer(problem.config, problem.fixed, problem.layer)
      .attention_input(problem.student_stream_WTM.index_select(0, rows).to(problem.device()));
}

// Of the targets that are learned from.
double mean_square(const RefitProblem& problem) {
  double sum = 0;
  for_each_batch(0, problem.training, problem.tokens(), [&](std::int64_t begin, std::int64_t count) {
    const at::Tensor target = problem.target(begin, count);
    sum += (target.square() * problem.weight_T1).sum(at::kDouble).item<double>();
  });
  return sum / static_cast<double>(problem.training * problem.tokens() * problem.target_WTM.size(2));
}

}  // namespace

AttentionLayer fit_reconstruct(const RefitProblem& problem, const AttentionLayer& student) {
  model::Weights weights = weights_with(problem, student);
  std::vector<Trained> trained = start_training(weights, problem, student.has_bias());
  const at::ScalarType type = compute_type(trained.front().master);
  for (auto& [key, weight] : weights) weight = weight.to(type);
  const model::Rotation rotation = model::rotation_for(
      problem.config, at::empty({1}, problem.weight_T1.options().dtype(type)), 0, problem.tokens());
  const model::DecoderLayer layer(problem.config, weights, problem.layer);
  const double size = mean_square(problem), scale = size > 0 ? size : 1;
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
        input_BTM = input_of(problem, rows).to(type);
        target_BTM = problem.target_WTM.index_select(0, rows).to(problem.device());
      }
      {
        const at::AutoGradMode with_gradients(true);
        place(trained, weights);
        const at::Tensor output_BTM = layer.attention_output(layer.heads(input_BTM, rotation));
        const at::Tensor loss =
            ((output_BTM.to(target_BTM.scalar_type()) - target_BTM).square() * problem.weight_T1).mean() /
            scale;
        loss.backward();
      }
      update(trained, weights, rate_at(step++, batches * kReconstructEpochs));
      if (problem.done) problem.done(3.0 * static_cast<double>(rows.size(0) * problem.tokens()));
    }
  }
  for (const Trained& one : trained) weights[one.key] = one.master;
  return projections_of(problem, weights, student);
}

}  // namespace regroup::convert
