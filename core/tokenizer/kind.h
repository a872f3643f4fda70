// The kinds of tokenizers that a directory may hold: a table. Tests loop over it.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "core/tokenizer/tokenizer.h"

namespace regroup::tokenizer {

struct Kind {
  std::vector<std::string> files;  // all must be there; the first one is opened
  std::unique_ptr<Tokenizer> (*open)(const std::filesystem::path& file);
};

// The first kind whose files a directory holds is the one that transformers takes.
const std::vector<Kind>& kinds();

}  // namespace regroup::tokenizer
