// What a resumed run takes over from the state it goes on from.
#pragma once

#include "uptrain/recipe.h"
#include "uptrain/state.h"
#include "uptrain/uptrain.h"

namespace regroup::uptrain {

// What was left to us is what it was when the run began, whatever the budget and the memory are now.
UptrainOptions with_choices_of(const SavedState& saved, UptrainOptions options);

// Whether the recipe's steps are others than the saved run's. A run may be cut short or go on for longer
// while its rate is at the peak: what was done is then what the new run would have done. UserError where it
// is not.
bool extends(const SavedState& saved, const UptrainOptions& options, const Recipe& recipe);

// The state in `saved`, its budget changed to the recipe's if that extends it.
RunState continued(const SavedState& saved, const UptrainOptions& options, const Recipe& recipe,
                   const Json& must_match, Parameters& parameters, const WeightNames& names);

}  // namespace regroup::uptrain
