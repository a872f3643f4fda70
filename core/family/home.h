// Other architectures that hold the same model, for families whose own, as engines know it, holds no fewer
// key/value heads: a checkpoint that moves there is one that engines load. One row a home.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "core/family/family.h"

namespace regroup::family {

struct Home {
  std::string_view family;  // whose table its tensors follow; its name on the command line
  // Why a model of this configuration with `kv_heads` heads cannot move there; empty: it can, and is the same
  // function there but for roundings.
  std::string (*obstacle)(const ModelConfig& config, std::int64_t kv_heads);
  // config.json of the model there.
  Json (*config)(const Json& source, const ModelConfig& config, std::int64_t kv_heads);
};

// In the order they are tried.
std::span<const Home> homes();

}  // namespace regroup::family
