// One optimizer step: a pure function of the weights, the moments and the batch.
#pragma once

#include <ATen/ATen.h>

#include "core/model/decoder.h"
#include "uptrain/loss.h"
#include "uptrain/parameters.h"

namespace regroup::uptrain {

// Inputs and the tokens that follow them, int64; a negative target counts for nothing.
struct Batch {
  at::Tensor inputs_BT, targets_BT;
  model::DocumentPieces documents = {};  // which tokens see each other; empty: those of a row do
};

// What is minimised, and by whose example.
struct Objective {
  const Loss* loss = nullptr;
  const model::Decoder* teacher = nullptr;  // null: none
  model::Distillation distillation = {};
};

struct StepSettings {
  std::int64_t step = 0;         // counts from 1
  std::int64_t micro_batch = 1;  // windows a pass; gradients add up to those of the whole batch
  double clip = 0;               // largest gradient norm; 0: none
  OptimizerSettings optimizer;
};

// Means over the step's tokens, before the update.
struct StepMeasures {
  PassResult mean;
  double gradient_norm = 0;  // before clipping
  bool finite() const;       // objective and norm
};

// The first half of a step: gradients of the whole batch.
StepMeasures measure_gradients(const model::Decoder& student, Parameters& parameters,
                               const Objective& objective, const Batch& batch, std::int64_t micro_batch);

// The second half: clips what was measured, and updates the weights.
void update_weights(Parameters& parameters, const StepMeasures& measures, const StepSettings& settings);

}  // namespace regroup::uptrain
