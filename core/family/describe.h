// What a model directory is, for a person or a script that has to choose a number of key/value heads.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/base/json.h"
#include "core/family/model_directory.h"

namespace regroup::family {

struct DescribeOptions {
  std::optional<std::int64_t>
      context;  // tokens that the cache is sized for; the model's positions by default
  std::int64_t batch = 1;
};

// Everything as one object: family, architectures, shapes, type, the cache now and at every reachable number
// of key/value heads, files, who loads what can be written, tokens of pre-training where training_record.json
// says them. Sizes in bytes. UserError for a context or batch below 1 or too large to count.
Json describe(const ModelDirectory& model, const DescribeOptions& options);

// The same as text for a terminal.
std::string description_text(const Json& description);

}  // namespace regroup::family
