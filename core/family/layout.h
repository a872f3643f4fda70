// Between the arrangement of a stored tensor and the parts of the decoder that it holds.
//
// Norms of queries and keys that differ by head are rows too, [heads · D].
//
// Parts are [out, in] weights and [out] biases; queries, keys and values head by head, with rotary pairs
// half-split. A stored tensor, once transposed where it is stored so, is a list of rows of them.
#pragma once

#include <cstdint>
#include <vector>

#include "core/family/family.h"
#include "core/family/model_config.h"

namespace regroup::family {

// The rows of a part within a stored tensor: row i of the part is row rows[i] there.
struct PartRows {
  Part part;
  std::vector<std::int64_t> rows;
  bool identity = false;  // the tensor is the part, row by row; `rows` is then empty
};

// What a tensor of `layout` holds, whose rule names `part`, in a model of this configuration.
std::vector<PartRows> parts_in(const Layout& layout, Part part, const ModelConfig& config);

}  // namespace regroup::family
