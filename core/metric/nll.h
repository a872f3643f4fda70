// Negative log-likelihood of tokens under a model: the accumulator that evaluation and validation share.
#pragma once

#include <ATen/ATen.h>

#include <functional>
#include <vector>

#include "core/data/windows.h"
#include "core/model/decoder.h"

namespace regroup::metric {

// -ln p(token at position p+1 | tokens of its window up to p), for every target of `windows`, in the order of
// the windows: [targets], fp64, nats. The log-softmax is taken in fp32 or better, over chunks of rows, so
// that B x T x V is never held. `batch` windows are run at a time; `done` is told how many targets each batch
// scored.
at::Tensor token_nll(const model::Decoder& decoder, const std::vector<std::int32_t>& tokens,
                     const std::vector<data::Window>& windows, std::int64_t batch,
                     const std::function<void(std::int64_t)>& done = {});

}  // namespace regroup::metric
