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

// Where a run keeps what it needs (memory.h). The figures are the same to the bit, whatever it is.
struct Placement {
  bool by_layers = false;        // a layer of a model is in memory, not the whole
  bool states_on_disk = false;   // the source's hidden states
  bool streams_on_disk = false;  // the residual streams of a model that is run by layers
};

struct ScoreOptions {
  std::int64_t window = 0, batch = 0;
  std::string dtype, device;  // as on the command line
  std::filesystem::path scratch =
      {};  // for what lies on disk: files without a name (core/base/scratch_memory.h)
  Placement placement = {};
};

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

// A model that can be run: in memory, or, by layers, read anew by every call.
class Scorer {
 public:
  // `model` is borrowed.
  Scorer(const family::ModelDirectory& model, const ScoreOptions& options);
  ~Scorer();
  Scorer(const Scorer&) = delete;
  Scorer& operator=(const Scorer&) = delete;

  double load_seconds() const { return load_seconds_; }
  // `done` is told how far it is, in scored tokens or shares of them. `source`: null if nothing is compared;
  // else the first call, for the source, fills it, and later ones compare with what it holds.
  Scores score(const ScoreRequest& request, const std::function<void(double)>& done,
               std::shared_ptr<SourceStates>* source = nullptr) const;

 private:
  struct Model;
  std::unique_ptr<Model> model_;
  ScoreOptions options_;
  std::string where_;
  double load_seconds_ = 0;
};

int threads_in_use();

}  // namespace regroup::eval
