// How much memory a run needs, said before it starts.
#pragma once

#include <cstdint>
#include <string>

#include "core/family/model_config.h"
#include "uptrain/parameters.h"

namespace regroup::uptrain {

// How a batch goes through the model: what memory has a say in.
struct Passes {
  std::int64_t micro_batch = 1;  // windows at a time
  bool recompute = false;        // of a layer only its input is kept
};

struct MemoryQuestion {
  const family::ModelConfig& config;
  Counts weights;                       // of the student
  std::int64_t teacher_parameters = 0;  // 0: none
  std::int64_t sequence_length = 0;
  const std::string& precision;
  bool sees_logits = true;  // false: no step does anything but match attention outputs, layer by layer
  bool trains_down_projections = true;  // uptrain/trained.h
  bool fused = true;   // norms and gated products are single passes, as on a CPU (core/model/fused.h)
  double program = 0;  // bytes that the process holds for other things: code, data
};

// In bytes.
struct MemoryEstimate {
  double weights = 0;      // masters, gradients, moments, computing copies, the teacher
  double activations = 0;  // what passes over one micro-batch need
  double program = 0;
  double total() const { return weights + activations + program; }
};

MemoryEstimate estimate_memory(const MemoryQuestion& question, const Passes& passes);

// The passes with the most windows, up to those of `most`, that fit into `available` bytes, halved as often
// as needed; activations are recomputed only where one window would not fit otherwise. If nothing fits, the
// smallest passes.
Passes fitting_passes(const MemoryQuestion& question, const Passes& most, double available);

}  // namespace regroup::uptrain
