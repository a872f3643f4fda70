// Perplexity conventions: which tokens are scored, and with how much context. Figures under different
// conventions differ by up to 60% for the same model and text, so every output names its own.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/data/windows.h"

namespace regroup::eval {

struct Convention {
  std::string_view name;
  std::string_view summary;  // one sentence, W the window
  // Inputs over a stream of `tokens` >= 2 whose targets are the scored tokens, in the order of the stream;
  // UserError where that leaves nothing to score.
  std::vector<data::Window> (*windows)(std::int64_t tokens, std::int64_t window);
};

std::span<const Convention> conventions();  // the default first

// UserError listing the names for one that is none of them.
const Convention& convention(std::string_view name);

std::string convention_help();  // for --help

}  // namespace regroup::eval
