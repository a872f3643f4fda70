// What a resumed run takes over from the state it goes on from.
#pragma once

#include "uptrain/recipe.h"
#include "uptrain/state.h"
#include "uptrain/uptrain.h"

namespace regroup::uptrain {

// What was left to us is what it was when the run began, whatever the budget and the memory are now.
UptrainOptions with_choices_of(const SavedState& saved, UptrainOptions options);

// The state in `saved`. Where the recipe's steps are others than the saved run's, its budget is changed: a
// run may be cut short or go on for longer while its rate is at the peak, since what was done is then what
// the new run would have done. UserError where it is not. Learning rate, clipping and the bound of outliers
// may be others too, so that a run can be led past the place where it diverged; the state keeps a record.
RunState continued(const SavedState& saved, const UptrainOptions& options, const Recipe& recipe,
                   const Json& must_match, Parameters& parameters, const WeightNames& names);

}  // namespace regroup::uptrain
