// Where a run keeps what it needs, decided and said before the first model is loaded.
//
// Models are in memory one at a time: the whole of each or, where one is too large for that, a layer of it.
// While models are compared, the source's hidden states at the scored tokens lie beside them.
#pragma once

#include <cstdint>
#include <vector>

#include "core/family/model_directory.h"
#include "eval/score.h"

namespace regroup::eval {

// What there is to be run: tokens that are scored and compared, and the most that go through a model at once.
struct Workload {
  std::int64_t compared = 0, inputs = 0;
};

// The most that goes into one pass over some windows: those that run beside longer ones are filled up.
std::int64_t inputs_of(const std::vector<data::Window>& windows);

// Upper estimates, in bytes on the device, of what scoring takes: a model's weights, or those of a layer and
// the output projection; one tensor in the file's type; a batch's activations.
std::uint64_t bytes_whole(const family::ModelDirectory& model, const ScoreOptions& options);
std::uint64_t bytes_by_layers(const family::ModelDirectory& model, const ScoreOptions& options);

// Of what may be taken, the share that hidden states may have; more of them lie on disk.
inline constexpr double kStatesShare = 0.25;

// `most`: bytes to take; 0, or more than there is: what there is. Logs what each model needs and what there
// is. UserError naming the first model of which not even a layer fits, and where the disk has no room.
Placement place(const std::vector<family::ModelDirectory>& models, const Workload& workload,
                const ScoreOptions& options, std::uint64_t most);

}  // namespace regroup::eval
