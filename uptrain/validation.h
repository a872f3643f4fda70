// The loss on held-out text, all of it.
#pragma once

#include <cstdint>

#include "core/data/token_stream.h"
#include "core/model/decoder.h"

namespace regroup::uptrain {

// Nats per token, in consecutive windows of `length` tokens. NaN where that of a token is not finite.
double validation_loss(const model::Decoder& model, const data::TokenStream& text, std::int64_t length,
                       std::int64_t batch);

}  // namespace regroup::uptrain
