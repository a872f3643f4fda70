// The numbers of planned tensors, read, rearranged and rounded.
#pragma once

#include "core/family/model_directory.h"
#include "core/gguf/writer.h"
#include "export/tensors.h"

namespace regroup::exporting {

// Appends one tensor's data, a few rows at a time. UserError naming the stored tensor that holds a NaN, an
// infinity, or a number too large for the type.
void write_tensor(const family::ModelDirectory& model, const PlannedTensor& tensor, gguf::Writer& writer);

// A tied model may store its head a second time; UserError if that copy differs from the embedding.
void check_tied_copy(const family::ModelDirectory& model);

}  // namespace regroup::exporting
