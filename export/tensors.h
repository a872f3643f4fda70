// Which tensors the file holds, and where each one's numbers come from. Pure: no weight is read.
#pragma once

#include <cstdint>
#include <vector>

#include "core/family/model_directory.h"
#include "core/gguf/format.h"
#include "export/architecture.h"

namespace regroup::exporting {

struct PlannedTensor {
  gguf::TensorInfo info;
  std::vector<Part> parts;          // stacked, row below row
  std::int64_t layer = -1;          // of the parts
  std::vector<float> values = {};   // … or the numbers themselves, where the model has no such tensor
  bool pairs_side_by_side = false;  // the parts' rotary pairs are to be brought together
  bool plus_one = false;            // 1 is to be added to every number
};

// As llama.cpp's own converter has it: vectors, norms and position embeddings stay F32, and what has rows
// that are no multiple of a block becomes F16.
std::vector<PlannedTensor> plan_tensors(const Architecture& architecture, const family::ModelDirectory& model,
                                        gguf::TensorType type);

}  // namespace regroup::exporting
