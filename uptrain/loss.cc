#include "uptrain/loss.h"

#include <array>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/base/table.h"
#include "core/model/norm.h"
#include "uptrain/uptrain.h"

namespace regroup::uptrain {
namespace {

using model::DecoderLayer;

// Carries gradients of the last hidden states back to the weights, if any weight before them is trained.
void pass_back(const at::Tensor& hidden_BTM, const at::Tensor& grad_NM) {
  if (hidden_BTM.requires_grad()) hidden_BTM.backward(grad_NM.view_as(hidden_BTM));
}

PassResult next_token(const PassInput& input) {
  const at::Tensor hidden_BTM = input.student.hidden_states(input.inputs_BT, nullptr, input.documents);
  const auto loss = model::cross_entropy_loss(hidden_BTM.detach().flatten(0, 1), input.output,
                                              input.targets_BT.flatten(), input.factor);
  pass_back(hidden_BTM, loss.grad_hidden_NM);
  return {.objective = loss.cross_entropy, .cross_entropy = loss.cross_entropy};
}

model::Teacher teacher_rows(const PassInput& input) {
  const at::NoGradGuard no_grad;
  return {.hidden_NM = input.teacher->hidden_states(input.inputs_BT, nullptr, input.documents).flatten(0, 1),
          .output = {.projection_VM = input.teacher->output_projection(),
                     .bias_V = input.teacher->output_bias()}};
}

// Hinton et al. 2015; all of the teacher's distribution, not its largest entries.
PassResult divergence(const PassInput& input) {
  const model::Teacher teacher = teacher_rows(input);
  const at::Tensor hidden_BTM = input.student.hidden_states(input.inputs_BT, nullptr, input.documents);
  const auto loss = model::distillation_loss(hidden_BTM.detach().flatten(0, 1), input.output, teacher,
                                             input.targets_BT.flatten(), input.distillation, input.factor);
  pass_back(hidden_BTM, loss.grad_hidden_NM);
  const double share = input.distillation.cross_entropy_share, heat = input.distillation.temperature;
  return {.objective = (1 - share) * heat * heat * loss.divergence + share * loss.cross_entropy,
          .cross_entropy = loss.cross_entropy,
          .divergence = loss.divergence};
}

// Mean over layers of |student - teacher|² / |teacher|² over the attention outputs of a micro-batch, times
// its tokens. Layers do not meet: each is given what the teacher's layer is given, and passes back on its
// own.
PassResult attention_outputs(const PassInput& input) {
  const family::ModelConfig& config = input.student.config();
  const auto tokens = (input.targets_BT >= 0).sum().item<double>();
  const double weight = tokens / static_cast<double>(config.layers);
  const auto quietly = [](const auto& compute) {
    const at::NoGradGuard no_grad;
    return compute();
  };
  at::Tensor x_BTM = quietly(
      [&] { return model::embedded(config, input.teacher->weights(), input.inputs_BT, 0, input.documents); });
  const model::Rotation rotation = model::rotation_for(config, x_BTM, 0, input.inputs_BT.size(1));
  PassResult result;
  for (std::int64_t layer = 0; layer < config.layers; ++layer) {
    const auto attention = [&](const DecoderLayer& of) {
      return of.attention_output(of.heads(of.attention_input(x_BTM), rotation, nullptr, input.documents));
    };
    const DecoderLayer source(input.teacher->config(), input.teacher->weights(), layer);
    const at::Tensor wanted_BTM = quietly([&] { return attention(source); });
    const at::Tensor found_BTM = attention(DecoderLayer(config, input.student.weights(), layer));
    const at::ScalarType wide = model::accumulation_type(found_BTM.scalar_type());
    const at::Tensor error =
        (found_BTM.to(wide) - wanted_BTM.to(wide)).square().sum() / wanted_BTM.to(wide).square().sum();
    if (error.requires_grad()) (error * (weight * input.factor)).backward();
    result.objective += weight * error.item<double>();
    x_BTM = quietly([&] { return source.after(x_BTM, wanted_BTM); });
  }
  return result;
}

constexpr std::array kLosses{
    Loss{.name = "cross-entropy", .summary = "of the next token (Ainslie et al. 2023)", .pass = next_token},
    Loss{.name = "kl",
         .summary = "KL divergence of the student from the teacher, over the whole vocabulary",
         .needs_teacher = true,
         .pass = divergence},
    Loss{.name = "attention",
         .summary = "every layer's attention output against the teacher's, given the teacher's input to it",
         .needs_teacher = true,
         .sees_logits = false,
         .pass = attention_outputs},
};

}  // namespace

std::span<const Loss> losses() {
  return kLosses;
}

const Loss& loss(std::string_view name, bool with_teacher) {
  if (name.empty()) return kLosses[with_teacher ? 1 : 0];
  return row_named(kLosses, name, "--loss", "loss");
}

const Loss& matching_loss() {
  return kLosses.back();
}

std::vector<std::string> loss_names() {
  return names_of(kLosses);
}

}  // namespace regroup::uptrain
