#include "uptrain/memory.h"

#include <algorithm>

namespace regroup::uptrain {
namespace {

using family::ModelConfig;

double width_of_mlp(const ModelConfig& config) {
  if (config.experts.count == 0) return static_cast<double>(config.ffn);
  return static_cast<double>(config.experts.chosen * config.experts.ffn + config.experts.shared_ffn);
}

// Elements kept of a token for the backward pass, part by part of a layer.

// A norm keeps what it reads and gives, an RMS norm that is not fused its parts too.
double kept_by_norm(const MemoryQuestion& question) {
  const bool parts = !question.fused && question.config.norm == family::Norm::kRms;
  return double(question.config.hidden) * (parts ? 3 : 2);
}

// Queries, keys and values as attention saw them, its result and that in the order of the output projection.
// Keys and values are repeated for the heads of their group, but not by our own kernels.
double kept_by_heads(const MemoryQuestion& question) {
  const auto Q = double(question.config.query_width()), K = double(question.config.kv_width());
  if (question.precision == "bf16") return 3 * Q + 3 * K;
  return K < Q ? 5 * Q + K : 3 * Q + 2 * K;
}

// Every step between its projections; what the last one reads for the gradient of its weights alone.
double kept_by_mlp(const MemoryQuestion& question) {
  const ModelConfig& config = question.config;
  const bool fused_product = question.fused && config.activation == family::Activation::kSilu;
  const double steps = config.gated_mlp ? (fused_product ? 3 : 4) : 2;
  return width_of_mlp(config) * (question.trains_down_projections ? steps : steps - 1);
}

double kept_by_layer(const MemoryQuestion& question) {
  return (question.config.shared_norm ? 1 : 2) * kept_by_norm(question) + kept_by_heads(question) +
         kept_by_mlp(question);
}

// Layers are matched one by one: of one there are its attention and the gradients of that, its input, both
// outputs, and their errors in float32.
double kept_by_matching(const MemoryQuestion& question) {
  const double outputs = question.precision == "bf16" ? 9 : 6;
  return kept_by_norm(question) + 2 * kept_by_heads(question) + outputs * double(question.config.hidden);
}

double kept(const MemoryQuestion& question, bool recompute) {
  const auto layers = double(question.config.layers), hidden = double(question.config.hidden);
  if (!question.sees_logits) return kept_by_matching(question);
  const double layer = kept_by_layer(question);
  return recompute ? 2 * layers * hidden + layer : layers * layer;
}

// What is alive beside that at the peak, when gradients begin to flow: of the last MLP (the teacher's, where
// layers are matched), and of the stream.
double transient(const ModelConfig& config) {
  return 3 * width_of_mlp(config) + 2 * static_cast<double>(config.hidden);
}

}  // namespace

MemoryEstimate estimate_memory(const MemoryQuestion& question, const Passes& passes) {
  const ModelConfig& config = question.config;
  const bool half = question.precision == "bf16";
  const double element = half ? 2 : 4;
  const Counts& held = question.weights;
  // A float32 master, and in bf16 a copy to compute with; of what is trained also gradient and moments, and
  // gradients as autograd leaves them.
  const double weights = (half ? 6 : 4) * double(held.all) + (8 + element) * double(held.trained) +
                         4 * double(held.second_moments) + element * double(question.teacher_parameters);
  const auto tokens = static_cast<double>(passes.micro_batch * question.sequence_length);
  constexpr double kLogits = 3 * (16 << 20);  // a chunk of the output projection and its gradients
  return {.weights = weights,
          .activations = element * tokens * (kept(question, passes.recompute) + transient(config)) +
                         (question.sees_logits ? kLogits : 0),
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
