// What can be done with every family, for people: docs/families.md is this text.
#pragma once

#include <string>
#include <vector>

#include "core/family/model_config.h"

namespace regroup::family {

// What keeps merges of such a model from being exact where those of others are, or its heads in place; empty
// for most.
std::vector<std::string> merge_limits(const ModelConfig& config);

// A page of Markdown: by family and example which files are read, how heads are merged, what is written with
// fewer heads, and who loads that.
std::string families_page();

}  // namespace regroup::family
