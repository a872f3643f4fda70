#include <array>
#include <limits>

#include "convert/refits/refits.h"
#include "core/model/decoder_layer.h"

namespace regroup::convert {
namespace {

struct Fit {
  double error = std::numeric_limits<double>::infinity();
  double gain = 1;
};

// The best gain of values at this temperature of keys, and the error it leaves, on the training windows.
Fit best_gain(const RefitProblem& problem, const AttentionLayer& student) {
  const model::Weights weights = weights_with(problem, student);
  const auto bias = weights.find({family::Part::kOutputBias, problem.layer});
  double of_output = 0, both = 0, of_target = 0;
  for_each_batch(0, problem.training, problem.tokens(), [&](std::int64_t begin, std::int64_t count) {
    at::Tensor output = student_output(problem, weights, begin, count);
    at::Tensor target = problem.target(begin, count);
    if (bias != weights.end()) {  // not scaled with the values
      output = output - bias->second;
      target = target - bias->second;
    }
    of_output += (output.square() * problem.weight_T1).sum(at::kDouble).item<double>();
    both += (output * target * problem.weight_T1).sum(at::kDouble).item<double>();
    of_target += (target.square() * problem.weight_T1).sum(at::kDouble).item<double>();
  });
  if (!(of_output > 0)) return {};
  return {of_target - both * both / of_output, both / of_output};
}

}  // namespace

AttentionLayer fit_scale(const RefitProblem& problem, const AttentionLayer& student) {
  constexpr std::array kTemperatures = {1.0, 0.85, 0.93, 1.08, 1.17, 1.26, 1.36, 1.5};
  AttentionLayer best = student;
  Fit least;
  for (const double temperature : kTemperatures) {
    AttentionLayer tried = student;
    tried.k_KDN = student.k_KDN * temperature;
    const Fit fit = best_gain(problem, tried);
    if (fit.error < least.error) {
      least = fit;
      best = tried;
    }
    if (problem.done) problem.done(0.5 * static_cast<double>(problem.training * problem.tokens()));
  }
  best.v_KDN = best.v_KDN * least.gain;
  return best;
}

}  // namespace regroup::convert
