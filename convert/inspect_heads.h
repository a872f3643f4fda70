// What to look at before choosing a conversion: how alike a model's heads are, layer by layer, and what it
// would cost to merge them. Knows no LibTorch.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/base/json.h"

namespace regroup::convert {

struct InspectHeadsOptions {
  std::filesystem::path model;
  std::vector<std::int64_t> kv_heads;  // whose groups are shown; empty: the middle of what can be reached
  std::string method;                  // a row of merge_methods(); empty: the best there is
  std::filesystem::path report;        // an HTML page to write; empty: none
  // Costs and groups by what the source makes of so many drawn tokens; 0: from weights alone.
  std::int64_t calibration_tokens = 0;
  std::string device = "cpu";  // that looks at them
  std::uint64_t seed = 0;      // of the drawn tokens, and of the search for groups
  bool overwrite = false;
};

// Everything as one object (docs/methods.md): for each layer the similarity of its heads before and after
// alignment, and at every number of key/value heads that can be reached the groups that `convert` would
// choose (with --weights-only, or as many drawn tokens) and what merging them, and contiguous ones, costs. In
// memory: one layer, and the hidden states of the drawn tokens (drawn_calibration.cc). UserError for a count
// that cannot be reached, a method whose merge has no cost, or a report that cannot be written (before the
// work).
Json inspect_heads(const InspectHeadsOptions& options);

// The same for a terminal, and as one self-contained page.
std::string heads_text(const Json& heads);
std::string heads_html(const Json& heads);

// Groups as both write them: "0 3 | 1 2".
std::string groups_text(const Json& groups);

}  // namespace regroup::convert
