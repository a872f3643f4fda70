#include "uptrain/step.h"

#include <algorithm>
#include <cmath>

namespace regroup::uptrain {
namespace {

// The output layer, and its part in the flat buffers: a tied model's projection is its embedding.
model::OutputLayer output_layer(const model::Decoder& student, const Parameters& parameters) {
  const model::WeightKey head{family::Part::kLmHead, -1}, bias{family::Part::kLmHeadBias, -1};
  model::OutputLayer output{
      .projection_VM = student.output_projection().detach(),
      .bias_V = {},
      .grad_projection_VM = parameters.gradient(
          parameters.compute().contains(head) ? head : model::WeightKey{family::Part::kTokenEmbedding, -1}),
      .grad_bias_V = {}};
  if (!parameters.compute().contains(bias)) return output;
  output.bias_V = student.output_bias().detach();
  output.grad_bias_V = parameters.gradient(bias);
  return output;
}

}  // namespace

StepResult step(const model::Decoder& student, Parameters& parameters, const Loss& loss, const Batch& batch,
                const StepSettings& settings) {
  StepResult result;
  // Every token counts the same, whatever micro-batch it is in.
  const double per_token = 1 / static_cast<double>(batch.targets_BT.numel());
  const model::OutputLayer output = output_layer(student, parameters);
  parameters.zero_gradient();
  const std::int64_t windows = batch.inputs_BT.size(0);
  for (std::int64_t begin = 0; begin < windows; begin += settings.micro_batch) {
    const std::int64_t count = std::min(settings.micro_batch, windows - begin);
    const at::Tensor hidden_BTM = student.hidden_states(batch.inputs_BT.narrow(0, begin, count));
    const auto [sum, grad_hidden_NM] =
        loss.evaluate({.hidden_NM = hidden_BTM.detach().flatten(0, 1),
                       .output = output,
                       .targets_N = batch.targets_BT.narrow(0, begin, count).flatten(),
                       .factor = per_token});
    hidden_BTM.backward(grad_hidden_NM.view_as(hidden_BTM));
    parameters.gather_gradients();
    result.loss += sum * per_token;
  }
  result.gradient_norm = parameters.gradient_norm();
  if (!std::isfinite(result.loss) || !std::isfinite(result.gradient_norm)) return result;
  if (settings.clip > 0 && result.gradient_norm > settings.clip)
    parameters.scale_gradient(settings.clip / result.gradient_norm);
  parameters.update(settings.adamw, settings.step);
  result.updated = true;
  return result;
}

}  // namespace regroup::uptrain
