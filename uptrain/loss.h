// What a run minimises, one row each. A row runs one micro-batch forward and backward: it leaves gradients at
// the student's leaves, and the output layer's where they are summed. No [B, T, V] of logits ever exists.
#pragma once

#include <ATen/ATen.h>

#include <span>
#include <string_view>

#include "core/model/decoder.h"
#include "core/model/output_loss.h"

namespace regroup::uptrain {

struct PassInput {
  const model::Decoder& student;
  model::OutputLayer output;                // the student's, and what takes its gradients
  const model::Decoder* teacher = nullptr;  // frozen; null: none
  model::Distillation distillation;
  at::Tensor inputs_BT, targets_BT;  // the tokens, and those that came next; int64. Negative: none
  const model::DocumentPieces* documents = nullptr;  // null: every token of a row sees those before it
  double factor = 1;                                 // gradients are of factor · objective
};

// Sums over the tokens of the micro-batch.
struct PassResult {
  double objective = 0;      // what is minimised
  double cross_entropy = 0;  // of the next token, nats
  double divergence = 0;     // KL(teacher ‖ student) at the temperature, nats
};

struct Loss {
  std::string_view name, summary;
  bool needs_teacher = false;
  bool sees_logits = true;  // false: cross_entropy and divergence are not known
  PassResult (*pass)(const PassInput& input);
};

// Every loss, in the order --help prints them.
std::span<const Loss> losses();
// UserError lists the names. Empty: kl with a teacher, else cross-entropy.
const Loss& loss(std::string_view name, bool with_teacher);
// Of the first stage (--match-fraction): each layer's attention output against the teacher's, given the
// teacher's own input to that layer.
const Loss& matching_loss();

}  // namespace regroup::uptrain
