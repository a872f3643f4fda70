// Negative log-likelihood of tokens under a model: the accumulator that evaluation and validation share.
#pragma once

#include <ATen/ATen.h>

#include <functional>
#include <string>
#include <vector>

#include "core/data/windows.h"
#include "core/model/decoder.h"

namespace regroup::metric {

// -ln p(token at position p+1 | tokens of its window up to p), for every scored target of `windows`, in the
// order of the windows: [targets], fp64 on the CPU, nats (token_scores.h). The result does not depend on
// `batch` but for rounding. `done` is told how many targets each batch scored.
//
// UserError naming `where` and the position in `tokens` when a value is NaN or infinite.
at::Tensor token_nll(const model::Decoder& decoder, const std::vector<std::int32_t>& tokens,
                     const std::vector<data::Window>& windows, std::int64_t batch,
                     const std::function<void(std::int64_t)>& done = {},
                     const std::string& where = "the model");

}  // namespace regroup::metric
