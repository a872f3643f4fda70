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

// Of each window's tokens that count, Σ |student - teacher|² / Σ |teacher|² over their attention outputs,
// times their number: [B].
at::Tensor errors_of_windows(const at::Tensor& found_BTM, const at::Tensor& wanted_BTM,
                             const at::Tensor& targets_BT) {
  const at::ScalarType wide = model::accumulation_type(found_BTM.scalar_type());
  const at::Tensor counts_BT = (targets_BT >= 0).to(wide), wanted = wanted_BTM.to(wide);
  const auto energy_B = [&](const at::Tensor& x_BTM) { return (x_BTM.square().sum(2) * counts_BT).sum(1); };
  constexpr double kNothing = 1e-30;  // of a window without tokens that count
  return energy_B(found_BTM.to(wide) - wanted) / energy_B(wanted).clamp_min(kNothing) * counts_BT.sum(1);
}

// Mean over layers of the windows' errors. Layers do not meet: each is given what the teacher's layer is
// given, and passes back on its own.
PassResult attention_outputs(const PassInput& input) {
  const family::ModelConfig &config = input.student.config(), &theirs = input.teacher->config();
  const double weight = 1 / static_cast<double>(config.layers);
  const auto quietly = [](const auto& compute) {
    const at::NoGradGuard no_grad;
    return compute();
  };
  at::Tensor x_BTM = quietly(
      [&] { return model::embedded(theirs, input.teacher->weights(), input.inputs_BT, 0, input.documents); });
  const auto rotation_of = [&](const family::ModelConfig& of) {
    return model::rotation_for(of, x_BTM, 0, input.inputs_BT.size(1));
  };
  const model::Rotation rotation = rotation_of(config), their_rotation = rotation_of(theirs);
  PassResult result;
  for (std::int64_t layer = 0; layer < config.layers; ++layer) {
    const auto attention = [&](const DecoderLayer& of, const model::Rotation& by) {
      return of.attention_output(of.heads(of.attention_input(x_BTM), by, nullptr, input.documents));
    };
    const DecoderLayer source(theirs, input.teacher->weights(), layer);
    const at::Tensor wanted_BTM = quietly([&] { return attention(source, their_rotation); });
    const at::Tensor found_BTM = attention(DecoderLayer(config, input.student.weights(), layer), rotation);
    const at::Tensor error = errors_of_windows(found_BTM, wanted_BTM, input.targets_BT).sum();
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
