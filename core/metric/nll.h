// Negative log-likelihood of tokens under a model: the accumulator that evaluation and validation share.
#pragma once

#include <ATen/ATen.h>

#include <functional>
#include <string>
#include <vector>

#include "core/data/windows.h"
#include "core/model/decoder.h"

namespace regroup::metric {

// -ln p(token at position p+1 | tokens of its window up to p), for every target of `windows`, in the order of
// the windows: [targets], fp64 on the CPU, nats. The log-softmax is taken in fp32 or better, over chunks of
// rows, so that B x T x V is never held. At most `batch` windows of one length are run at a time, without
// gradients; the result does not depend on `batch` but for rounding. `done` is told how many targets each
// batch scored.
//
// UserError naming `where` and the position in `tokens` when a value is NaN or infinite.
at::Tensor token_nll(const model::Decoder& decoder, const std::vector<std::int32_t>& tokens,
                     const std::vector<data::Window>& windows, std::int64_t batch,
                     const std::function<void(std::int64_t)>& done = {},
                     const std::string& where = "the model");

// Rows of logits held at a time: a few MiB of them, so that they stay in a core's cache.
std::int64_t rows_per_chunk(std::int64_t vocab_size);

}  // namespace regroup::metric
