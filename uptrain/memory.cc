#include "uptrain/memory.h"

#include <algorithm>

namespace regroup::uptrain {
namespace {

using family::ModelConfig;

double width_of_mlp(const ModelConfig& config) {
  if (config.experts.count == 0) return static_cast<double>(config.ffn);
  return static_cast<double>(config.experts.chosen * config.experts.ffn + config.experts.shared_ffn);
}

// Elements that a layer keeps of a token for its backward pass. A norm keeps what it reads and gives, an RMS
// norm that is not fused its parts too; attention keeps queries, keys and values as it saw them, its result
// and that in the order of the output projection; an MLP every step between its projections.
double kept_by_layer(const ModelConfig& config, bool half, bool fused) {
  const auto M = double(config.hidden), Q = double(config.query_width()), K = double(config.kv_width());
  const double F = width_of_mlp(config);
  const bool parts = !fused && config.norm == family::Norm::kRms;
  const bool fused_product = fused && config.activation == family::Activation::kSilu;
  const double norms = M * (config.shared_norm ? 1 : 2) * (parts ? 3 : 2);
  // Keys and values are repeated for the heads of their group, but not by our own kernels.
  const double heads = half ? 3 * Q + 3 * K : K < Q ? 5 * Q + K : 3 * Q + 2 * K;
  return norms + heads + F * (config.gated_mlp ? (fused_product ? 3 : 4) : 2);
}

// What is alive beside that at the peak, when gradients begin to flow: of the last MLP, and of the stream.
double transient(const ModelConfig& config) {
  return 3 * width_of_mlp(config) + 2 * static_cast<double>(config.hidden);
}

}  // namespace

MemoryEstimate estimate_memory(const MemoryQuestion& question, const Passes& passes) {
  const ModelConfig& config = question.config;
  const bool half = question.precision == "bf16";
  const double element = half ? 2 : 4;
  const auto teacher = question.teacher ? static_cast<double>(question.teacher->parameters()) : 0;
  // A float32 master, and in bf16 a copy to compute with; of what is trained also gradient and two moments,
  // and gradients as autograd leaves them.
  const double weights = (half ? 6 : 4) * double(question.parameters) +
                         (12 + element) * double(question.trained) + element * teacher;
  const auto tokens = static_cast<double>(passes.micro_batch * question.sequence_length);
  const auto layers = static_cast<double>(config.layers), hidden = static_cast<double>(config.hidden);
  const double layer = kept_by_layer(config, half, question.fused);
  const double kept = passes.recompute ? 2 * layers * hidden + layer : layers * layer;
  constexpr double kLogits = 3 * (16 << 20);  // a chunk of the output projection and its gradients
  return {.weights = weights,
          .activations = element * tokens * (kept + transient(config)) + kLogits,
          .program = question.program};
}

Passes fitting_passes(const MemoryQuestion& question, const Passes& most, double available) {
  const auto fits = [&](const Passes& passes) {
    return estimate_memory(question, passes).total() <= available;
  };
  for (const bool recompute : {most.recompute, true})
    for (Passes passes{most.micro_batch, recompute}; passes.micro_batch >= 1; passes.micro_batch /= 2)
      if (fits(passes)) return passes;
  return {.micro_batch = 1, .recompute = true};
}

}  // namespace regroup::uptrain
