#include "uptrain/flops.h"

namespace regroup::uptrain {
namespace {

using family::ModelConfig;
using family::Part;

// Numbers of a layer's weights that a token is multiplied with, over all layers.
struct AttentionWeights {
  double inputs = 0, output = 0;  // of queries, keys and values; of the output projection
  explicit AttentionWeights(const ModelConfig& config)
      : inputs(static_cast<double>(config.layers * config.hidden *
                                   (config.query_width() + 2 * config.kv_width()))),
        output(static_cast<double>(config.layers * config.hidden * config.query_width())) {}
};

// Attention alone, from inputs that take no gradient; the teacher's layers without its vocabulary.
double flops_of_matching(const Work& work) {
  const auto scores = [&](const ModelConfig& config) {
    return static_cast<double>(config.layers * work.sequence_length * config.query_width());
  };
  const AttentionWeights weights(work.student);
  const ModelConfig& teacher = *work.teacher;
  return 4 * weights.inputs + 6 * weights.output + 6 * scores(work.student) +
         2 * static_cast<double>(family::matmul_parameters(teacher) - teacher.vocab_size * teacher.hidden) +
         2 * scores(teacher);
}

}  // namespace

double frozen_weights(const Parameters& parameters, const ModelConfig& config) {
  double frozen = 0;
  for (const Slot& slot : parameters.slots()) {
    const bool multiplies = slot.shape.size() > 1 && slot.key.first != Part::kPositionEmbedding &&
                            (slot.key.first != Part::kTokenEmbedding || config.tied_embeddings);
    if (slot.treatment.trained || !multiplies) continue;
    const bool experts = slot.shape.size() > 2;
    frozen += static_cast<double>(slot.elements) * (experts ? static_cast<double>(config.experts.chosen) /
                                                                  static_cast<double>(config.experts.count)
                                                            : 1);
  }
  return frozen;
}

// A weight that a token is multiplied with takes 2 forward, 2 for the gradient of its input and 2 for its
// own; scores and their use 2 forward and 4 back. A pass without gradients is a third of one with them.
double flops_per_token(const Work& work, const Loss& loss) {
  if (!loss.sees_logits) return flops_of_matching(work);
  const auto whole = [&](const ModelConfig& config) {
    return family::training_flops_per_token(config, work.sequence_length);
  };
  const bool taught = loss.needs_teacher && work.teacher != nullptr;
  return whole(work.student) - 2 * work.frozen + (taught ? whole(*work.teacher) / 3 : 0);
}

}  // namespace regroup::uptrain
