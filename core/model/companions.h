// What a model written from another takes over beside config.json and weights.
#pragma once

#include <filesystem>
#include <vector>

#include "core/family/model_directory.h"

namespace regroup::model {

struct Companion {
  std::filesystem::path from, name;  // its name in the result
};

// Of a directory: checkpoint::carried_files(), but for code that its configuration named and the result's
// does not (auto_map). Of a model that is one file: its tokenizer, as tokenizer.model; where none is beside
// it none, with a warning. UserError if the one there cannot be this model's.
std::vector<Companion> companions(const family::ModelDirectory& model);

}  // namespace regroup::model
