// Which architecture a converted checkpoint is written as, so that engines load it, or refuse it rather than
// misread it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/family/family.h"
#include "core/family/home.h"

namespace regroup::family {

struct Target {
  std::string name;                    // "same", "own", or the home's family
  const Family* family = nullptr;      // whose table its tensors follow
  const Home* home = nullptr;          // null: the source's own table
  std::vector<std::string> loaded_by;  // engines; empty: none, only this program
  Json config;                         // config.json of the result
};

// `asked`: "auto", or one of the names above. "auto" stays with the source's architecture where engines load
// it with that many heads, else moves to the first home that takes it, else gives it a name of its own.
// UserError, saying why, where `asked` cannot be.
Target choose_target(const Family& family, const Json& config_json, const ModelConfig& config,
                     std::int64_t kv_heads, std::string_view asked = "auto");

}  // namespace regroup::family
