// Running one model over the scored tokens. The only part of this folder that needs LibTorch.
#pragma once

#include <cstdint>
#include <filesystem>
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
  // Bytes of the source's states to hold in memory at most; 0: kStatesShare of what there is. More lie in a
  // file without a name in `scratch` (core/base/scratch_memory.h), and give the same figures to the bit.
  std::uint64_t states_memory = 0;
  std::filesystem::path scratch = {};
  bool states_on_disk = false;  // decided by require_memory()
};

inline constexpr double kStatesShare = 0.25;

// Of every scored target of the windows, in their order (metric/token_scores.h).
struct Scores {
  std::vector<double> nats;
  std::vector<tokenizer::Token> top = {};
  std::vector<double> kl = {};  // from the source; empty for the source itself, and where nothing is compared
};

// A stream, and which of its tokens are scored: what follows windows of it.
struct ScoreRequest {
  const std::vector<tokenizer::Token>& tokens;
  const std::vector<data::Window>& windows;
  std::int64_t batch = 1;  // windows of the longest length at a time
};

// The source's distributions at the scored tokens, as its last hidden states and output layer: what is left
// of it while other models are compared with it.
struct SourceStates;

// A model in memory.
class Scorer {
 public:
  Scorer(const family::ModelDirectory& model, const ScoreOptions& options);
  ~Scorer();
  Scorer(const Scorer&) = delete;
  Scorer& operator=(const Scorer&) = delete;

  double load_seconds() const { return load_seconds_; }
  // `done` is told how many tokens each batch scored. `source`: null if nothing is compared; else the first
  // call, for the source, fills it, and later ones compare with what it holds.
  Scores score(const ScoreRequest& request, const std::function<void(std::int64_t)>& done,
               std::shared_ptr<SourceStates>* source = nullptr) const;

 private:
  struct Model;
  std::unique_ptr<Model> model_;
  ScoreOptions options_;
  std::string where_;
  double load_seconds_ = 0;
};

// An upper estimate of what a Scorer takes on the device: weights, one tensor in the file's type, and a
// batch's activations.
std::uint64_t memory_needed(const family::ModelDirectory& model, const ScoreOptions& options);

// What SourceStates take: the hidden states of every scored token, and the output layer.
struct StatesNeed {
  std::uint64_t hidden = 0, projection = 0;
  bool on_disk = false;  // the hidden ones
  std::uint64_t in_memory() const { return projection + (on_disk ? 0 : hidden); }
};
StatesNeed need_of_states(const family::ModelConfig& source, std::int64_t scored_tokens,
                          const ScoreOptions& options);

// Logs what each model needs and what there is; UserError naming the first one that does not fit alone, and
// where the disk has no room for the source's states. Models are in memory one at a time, beside those states
// if there is something to compare.
// Sets `states_on_disk`: what is available changes once they fill it.
void require_memory(const std::vector<family::ModelDirectory>& models, std::int64_t scored_tokens,
                    ScoreOptions& options);

int threads_in_use();

}  // namespace regroup::eval
