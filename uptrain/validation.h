// The loss on held-out text, all of it.
#pragma once

#include <cstdint>
#include <vector>

#include "core/data/documents.h"
#include "core/data/token_stream.h"
#include "core/data/windows.h"
#include "core/model/decoder.h"

namespace regroup::uptrain {

// Windows of at most `length` tokens: consecutive ones, or those of each document by itself under a rule by
// which no token sees another document than its own. UserError where no document has two tokens.
std::vector<data::Window> validation_windows(const data::TokenStream& text, const data::DocumentRule& rule,
                                             std::int64_t length);

// Nats per token. NaN where that of a token is not finite.
double validation_loss(const model::Decoder& model, const data::TokenStream& text,
                       const std::vector<data::Window>& windows, std::int64_t batch);

}  // namespace regroup::uptrain
