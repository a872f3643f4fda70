// One optimizer step: a pure function of the weights, the moments and the batch.
#pragma once

#include <ATen/ATen.h>

#include "core/model/decoder.h"
#include "uptrain/loss.h"
#include "uptrain/parameters.h"

namespace regroup::uptrain {

// Inputs and the tokens that follow them, int64.
struct Batch {
  at::Tensor inputs_BT, targets_BT;
};

struct StepSettings {
  std::int64_t step = 0;         // counts from 1
  std::int64_t micro_batch = 1;  // windows a pass; gradients add up to those of the whole batch
  double clip = 0;               // largest gradient norm; 0: none
  AdamW adamw;
};

struct StepResult {
  double loss = 0;           // mean over the step's tokens, before the update
  double gradient_norm = 0;  // before clipping
  bool updated = false;      // false: loss or gradient was not finite, and the weights are as they were
};

StepResult step(const model::Decoder& student, Parameters& parameters, const Loss& loss, const Batch& batch,
                const StepSettings& settings);

}  // namespace regroup::uptrain
