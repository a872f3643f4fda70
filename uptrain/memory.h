// How much memory a run needs, said before it starts, and how it holds on to it.
#pragma once

#include <cstdint>

#include "core/family/model_config.h"
#include "uptrain/recipe.h"

namespace regroup::uptrain {

struct MemoryQuestion {
  const family::ModelConfig& config;
  std::int64_t parameters = 0, trained = 0;  // of the student
  std::int64_t teacher_parameters = 0;       // 0: none
  const Recipe& recipe;
  const std::string& precision;
};

struct MemoryEstimate {
  double weights = 0;      // masters, gradients, moments, computing copies, the teacher
  double activations = 0;  // what a backward pass over one micro-batch needs
  double total() const { return weights + activations; }
};

MemoryEstimate estimate_memory(const MemoryQuestion& question);

// Makes this process keep memory that it frees for its next use, rather than hand it back to the system page
// by page: a training step takes and frees the same large buffers every time, and new pages are slow to come
// by.
void keep_freed_memory();

}  // namespace regroup::uptrain
