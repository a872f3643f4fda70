// The head that a model with tied embeddings may store a second time.
#pragma once

#include "core/family/model_directory.h"

namespace regroup::model {

// UserError if that copy differs from the embedding: HF ties only what is equal, and engines resolve the
// contradiction differently. Reads nothing of a model that stores none.
void check_tied_copy(const family::ModelDirectory& model);

}  // namespace regroup::model
