// Choosing the next token from its logits.
#pragma once

#include <span>

#include "core/base/random.h"
#include "core/tokenizer/tokenizer.h"

namespace regroup::model {

// The likeliest token; among equals the first.
tokenizer::Token likeliest_token(std::span<const double> logits);

// Draws from softmax(logits / temperature), restricted to the fewest likeliest tokens that together have
// probability `top_p` or more (nucleus sampling, Holtzman et al. 2020). temperature > 0, 0 < top_p <= 1.
tokenizer::Token sample_token(std::span<const double> logits, double temperature, double top_p,
                              RandomStream& stream);

}  // namespace regroup::model
