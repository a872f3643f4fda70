// Which weights a run trains, and how fast.
#pragma once

#include <span>
#include <string_view>

#include "uptrain/parameters.h"
#include "uptrain/state.h"
#include "uptrain/uptrain.h"

namespace regroup::uptrain {

struct TrainedPart {
  std::string_view name, summary;
  bool (*holds)(family::Part part);
};

// The named choices of --train, in the order --help prints them; the first is the default.
std::span<const TrainedPart> trained_parts();

// --train is one of those names or a regular expression that is searched for in the weights' names;
// --freeze-embeddings and --kv-lr-multiplier apply on top. UserError for an expression that cannot be read,
// and when nothing is left to train.
Treatments treatments(const UptrainOptions& options, const WeightNames& names);

// Whether the last projection of a feed-forward half is trained, so that its input must be kept.
bool trains_down_projections(std::span<const Slot> slots);

}  // namespace regroup::uptrain
