// The clock of a run: which step comes next, what is measured, logged, validated and saved when.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "core/data/token_stream.h"
#include "core/data/training_windows.h"
#include "core/model/decoder.h"
#include "uptrain/metrics.h"
#include "uptrain/parameters.h"
#include "uptrain/recipe.h"
#include "uptrain/state.h"
#include "uptrain/uptrain.h"

namespace regroup::uptrain {

// What a run works on; all of it outlives the run.
struct Run {
  const UptrainOptions& options;
  const Recipe& recipe;
  const data::TokenStream& train;
  const data::TrainingWindows& windows;      // of `train`
  const data::TokenStream* valid = nullptr;  // null: no validation
  std::vector<data::Window> valid_windows = {};
  const model::Decoder& student;
  const model::Decoder* teacher = nullptr;  // null: none
  Parameters& parameters;
  at::Device device;
  double peak_flops = 0;  // measured on this machine
  std::chrono::steady_clock::time_point started =
      std::chrono::steady_clock::now();  // what a time limit is of
  // Saves the state: where it goes is not the clock's business.
  std::function<void(const RunState&)> save;
};

// FLOPs of the run's first steps (uptrain/flops.h).
double flops_of(const Run& run, std::int64_t steps);

// Trains from `state` to the end of the recipe; `state` is then that of the last step. False when a signal or
// the time limit ended it before, after the state was saved. UserError when loss or gradient is not finite,
// naming the step and the last saved one, or when the validation loss is not, after the state was saved.
bool train(const Run& run, RunState& state, MetricsFile& metrics);

}  // namespace regroup::uptrain
