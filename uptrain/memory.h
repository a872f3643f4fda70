// How much memory a run needs, said before it starts, and how it holds on to it.
#pragma once

#include <cstdint>

#include "core/family/model_config.h"
#include "uptrain/recipe.h"

namespace regroup::uptrain {

struct MemoryEstimate {
  double weights = 0;      // masters, gradients, moments, computing copies
  double activations = 0;  // what a backward pass over one micro-batch needs
  double total() const { return weights + activations; }
};

MemoryEstimate estimate_memory(const family::ModelConfig& config, std::int64_t parameters,
                               const Recipe& recipe, const std::string& precision);

// Makes this process keep memory that it frees for its next use, rather than hand it back to the system page
// by page: a training step takes and frees the same large buffers every time, and new pages are slow to come
// by.
void keep_freed_memory();

}  // namespace regroup::uptrain
