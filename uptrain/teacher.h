// The model to learn from.
#pragma once

#include <optional>

#include "core/family/model_directory.h"
#include "uptrain/uptrain.h"

namespace regroup::uptrain {

// What --teacher names, or none. UserError when the loss needs one that is not given or has no use for the
// one that is, and when it does not speak of the student's tokens (or, for matching, has not its layers).
std::optional<family::ModelDirectory> open_teacher(const UptrainOptions& options,
                                                   const family::ModelDirectory& student);

}  // namespace regroup::uptrain
