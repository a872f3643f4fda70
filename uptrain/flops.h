// The work of a step, by counting: what MFU and the FLOPs of a run are made of.
#pragma once

#include <cstdint>

#include "core/family/model_config.h"
#include "uptrain/loss.h"
#include "uptrain/parameters.h"

namespace regroup::uptrain {

struct Work {
  const family::ModelConfig& student;
  const family::ModelConfig* teacher = nullptr;  // null: none
  std::int64_t sequence_length = 0;
  double frozen = 0;  // weights that a token is multiplied with and that are not trained
};

// Weights of `parameters` that tokens are multiplied with and that are not trained: they have no gradients of
// their own.
double frozen_weights(const Parameters& parameters, const family::ModelConfig& config);

// FLOPs of a token of a step: the student's passes, without those that frozen weights do not ask for, and the
// teacher's; where attention outputs are matched, those of attention alone.
double flops_per_token(const Work& work, const Loss& loss);

}  // namespace regroup::uptrain
