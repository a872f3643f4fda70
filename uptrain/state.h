// The state of a run after a step, from which it goes on as if it had never stopped: float32 masters, the
// optimizer's moments, and how far it was. Nothing else is needed: the order of the data, the schedule and
// everything random are functions of the seed and the step.
//
// OUT/checkpoints/step-N/
//   state.safetensors   master/NAME, first_moment/NAME, second_moment/NAME, float32, for every weight NAME;
//                       moments only of those that are trained, and no second ones of those that are Muon's
//   state.json          step, tokens, seconds, what must not change on resuming, SHA-256 of the other file
//
// A state appears whole or not at all (checkpoint/output.h). The last few are kept, and the one whose
// validation loss is the least.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "core/base/json.h"
#include "uptrain/outliers.h"
#include "uptrain/parameters.h"

namespace regroup::uptrain {

// Names of the weights in files, by the part they play.
using WeightNames = std::map<model::WeightKey, std::string>;

struct RunState {
  std::int64_t step = 0, tokens = 0;
  double seconds = 0;  // spent in training so far, by all processes
  double last_loss = 0;
  std::optional<double> first_validation_loss, last_validation_loss;
  std::int64_t validated_step = -1;             // of last_validation_loss
  std::optional<double> least_validation_loss;  // after any step
  std::int64_t match_steps = 0;                 // the first stage's, whatever became of the budget
  bool recompute = false;                       // of activations: chosen when the run began
  std::int64_t extended_at = 0;  // steps that were done when the budget was last changed; 0: never
  Outliers outliers;
  // Options that were others before: {after_step, option, was, is} each (uptrain/continuation.h).
  Json changes = Json::array();
  // What decides the bytes of the result: flag or input -> value.
  Json must_match = Json::object();
};

// Tokens, seconds and losses so far: what records of a run say of it.
void add_progress(Json& json, const RunState& state);

// Then removes older states: `keep` stay, and the one of the least validation loss.
void save_state(const std::filesystem::path& checkpoints, const RunState& state, const Parameters& parameters,
                const WeightNames& names, std::int64_t keep);

// Newest step first, whole or not.
std::vector<std::filesystem::path> saved_states(const std::filesystem::path& checkpoints);

struct SavedState {
  std::filesystem::path directory;
  Json json;  // of state.json
  std::int64_t step() const { return json.at("step"); }
  const Json& must_match() const { return json.at("must_match"); }
};

// The newest state that is whole, none where there are no states; damaged ones are passed over with a
// warning. UserError where all of them are damaged or of another format: to begin anew is not ours to decide.
std::optional<SavedState> newest_state(const std::filesystem::path& checkpoints);

// The state of the least validation loss that is whole, none where there is none.
std::optional<SavedState> best_state(const std::filesystem::path& checkpoints);

// Removes the states of later steps than `step`: what a run that goes on from there has passed over must not
// take the place of what it saves.
void remove_states_after(const std::filesystem::path& checkpoints, std::int64_t step);

// Fills `parameters`. UserError naming every value of `must_match` that is not the state's.
RunState read_state(const SavedState& saved, const Json& must_match, Parameters& parameters,
                    const WeightNames& names);

}  // namespace regroup::uptrain
