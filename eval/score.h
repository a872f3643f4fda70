// Running one model over the scored tokens. The only part of this folder that needs LibTorch.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/data/windows.h"
#include "core/family/model_directory.h"
#include "core/tokenizer/tokenizer.h"

namespace regroup::eval {

struct ScoreOptions {
  std::int64_t window = 0, batch = 0;
  std::string dtype, device;  // as on the command line
};

struct Scores {
  std::vector<double> nats;  // of every target of the windows
  double load_seconds = 0, score_seconds = 0;
};

// Loads, scores, and frees the model again.
Scores score_model(const family::ModelDirectory& model, const std::vector<tokenizer::Token>& tokens,
                   const std::vector<data::Window>& windows, const ScoreOptions& options,
                   const std::function<void(std::int64_t)>& done);

// An upper estimate of what score_model() takes on the device: weights, one tensor in the file's type, and a
// batch's activations.
std::uint64_t memory_needed(const family::ModelDirectory& model, const ScoreOptions& options);

// Logs what each model needs and what there is; UserError naming the first one that does not fit alone.
// Models are in memory one at a time.
void require_memory(const std::vector<family::ModelDirectory>& models, const ScoreOptions& options);

int threads_in_use();

}  // namespace regroup::eval
