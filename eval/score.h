// Running one model over the scored tokens. The only part of this folder that needs LibTorch.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
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

// Of every scored target of the windows, in their order (metric/token_scores.h).
struct Scores {
  std::vector<double> nats;
  std::vector<tokenizer::Token> top = {};
  std::vector<double> kl = {};  // from the source; empty for the source itself
  double load_seconds = 0, score_seconds = 0;
};

// The source's distributions at the scored tokens, as its last hidden states and output layer: what is left
// of it in memory while other models are compared with it.
struct SourceStates;

// Loads, scores, and frees the model again. `source`: null if nothing is compared; else the first call, for
// the source, fills it, and later ones compare with what it holds.
Scores score_model(const family::ModelDirectory& model, const std::vector<tokenizer::Token>& tokens,
                   const std::vector<data::Window>& windows, const ScoreOptions& options,
                   const std::function<void(std::int64_t)>& done,
                   std::shared_ptr<SourceStates>* source = nullptr);

// An upper estimate of what score_model() takes on the device: weights, one tensor in the file's type, and a
// batch's activations.
std::uint64_t memory_needed(const family::ModelDirectory& model, const ScoreOptions& options);

// What SourceStates take.
std::uint64_t memory_of_states(const family::ModelDirectory& source, std::int64_t scored_tokens,
                               const ScoreOptions& options);

// Logs what each model needs and what there is; UserError naming the first one that does not fit alone.
// Models are in memory one at a time, beside the source's states if there is something to compare.
void require_memory(const std::vector<family::ModelDirectory>& models, std::int64_t scored_tokens,
                    const ScoreOptions& options);

int threads_in_use();

}  // namespace regroup::eval
