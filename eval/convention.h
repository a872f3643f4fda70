// Perplexity conventions: which tokens are scored, and with how much context. Figures under different
// conventions differ by up to 60% for the same model and text, so every output names its own.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/data/token_stream.h"
#include "core/data/windows.h"

namespace regroup::eval {

// The ids that a convention may put into the stream, where the tokenizer has them.
struct Specials {
  std::optional<data::Token> document_start = {};  // what documents start with in this run
  std::optional<data::Token> prefix = {};          // the tokenizer's BOS, else its EOS
};

struct Convention {
  std::string_view name;
  std::string_view summary;  // one sentence, W the window
  bool asks_specials;        // needs the source's tokenizer even where the data are ids
  bool scores_first;         // the stream's first token is a target too
  // Inputs whose targets are the scored tokens, in the order of the stream, which may be given further tokens
  // or others in places that are no target; UserError where that leaves nothing to score.
  std::vector<data::Window> (*windows)(data::TokenStream& stream, std::int64_t window,
                                       const Specials& specials);
};

std::span<const Convention> conventions();  // the default first

// UserError listing the names for one that is none of them.
const Convention& convention(std::string_view name);

std::string convention_help();  // for --help

}  // namespace regroup::eval
