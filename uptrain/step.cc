#include "uptrain/step.h"

#include <algorithm>
#include <cmath>

namespace regroup::uptrain {
namespace {

// The output layer, and its part in the flat buffers: a tied model's projection is its embedding.
model::OutputLayer output_layer(const model::Decoder& student, const Parameters& parameters) {
  const model::WeightKey head{family::Part::kLmHead, -1}, bias{family::Part::kLmHeadBias, -1},
      embedding{family::Part::kTokenEmbedding, -1};
  model::OutputLayer output{
      .projection_VM = student.output_projection().detach(),
      .bias_V = {},
      .grad_projection_VM = parameters.gradient(parameters.compute().contains(head) ? head : embedding)};
  if (!parameters.compute().contains(bias)) return output;
  output.bias_V = student.output_bias().detach();
  output.grad_bias_V = parameters.gradient(bias);
  return output;
}

model::DocumentPieces rows_of(const model::DocumentPieces& documents, std::int64_t begin,
                              std::int64_t count) {
  if (documents.empty()) return {};
  return {documents.begin() + begin, documents.begin() + begin + count};
}

}  // namespace

bool StepMeasures::finite() const {
  return std::isfinite(mean.objective) && std::isfinite(gradient_norm);
}

StepMeasures measure_gradients(const model::Decoder& student, Parameters& parameters,
                               const Objective& objective, const Batch& batch, std::int64_t micro_batch) {
  StepMeasures measures;
  // Every token counts the same, whatever micro-batch it is in.
  const auto targets = (batch.targets_BT >= 0).sum().item<std::int64_t>();
  const double per_token = 1 / static_cast<double>(std::max<std::int64_t>(1, targets));
  const model::OutputLayer output = output_layer(student, parameters);
  parameters.zero_gradient();
  const std::int64_t windows = batch.inputs_BT.size(0);
  for (std::int64_t begin = 0; begin < windows; begin += micro_batch) {
    const std::int64_t count = std::min(micro_batch, windows - begin);
    const model::DocumentPieces documents = rows_of(batch.documents, begin, count);
    const PassResult sum = objective.loss->pass({.student = student,
                                                 .output = output,
                                                 .teacher = objective.teacher,
                                                 .distillation = objective.distillation,
                                                 .inputs_BT = batch.inputs_BT.narrow(0, begin, count),
                                                 .targets_BT = batch.targets_BT.narrow(0, begin, count),
                                                 .documents = documents.empty() ? nullptr : &documents,
                                                 .factor = per_token});
    parameters.gather_gradients();
    measures.mean.objective += sum.objective * per_token;
    measures.mean.cross_entropy += sum.cross_entropy * per_token;
    measures.mean.divergence += sum.divergence * per_token;
  }
  measures.gradient_norm = parameters.gradient_norm();
  return measures;
}

void update_weights(Parameters& parameters, const StepMeasures& measures, const StepSettings& settings) {
  if (settings.clip > 0 && measures.gradient_norm > settings.clip)
    parameters.scale_gradient(settings.clip / measures.gradient_norm);
  parameters.update(settings.optimizer, settings.step);
}

}  // namespace regroup::uptrain
