// Running windows through a model, batch by batch: the hidden states from which scored tokens are predicted.
//
// Shapes: N rows of a batch, M hidden.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "core/data/windows.h"
#include "core/model/decoder.h"

namespace regroup::metric {

// A run of rows and where its first one stands among all scored tokens, windows in the order given.
struct Run {
  std::int64_t offset = 0, count = 0;
  std::int64_t first_target = 0;  // position in the tokens; the run's targets follow each other
};

struct ScoredRows {
  at::Tensor hidden_NM;  // what Decoder::logits() takes, on the model's device
  at::Tensor targets_N;  // int64, there too
  std::vector<Run> runs;
};

// Hands over every scored token of `windows` once. At most `batch` windows of the longest length are run at a
// time, without gradients, of shorter ones as many as hold no more tokens; longest first. Windows of about
// one length share a batch.
void for_each_batch(const model::Decoder& decoder, const std::vector<std::int32_t>& tokens,
                    const std::vector<data::Window>& windows, std::int64_t batch,
                    const std::function<void(const ScoredRows&)>& take);

// Puts the rows of `values`, [N, …] in a batch's order, to their places in `out`, [all scored tokens, …] of
// the same type on the CPU.
void place(const ScoredRows& rows, const at::Tensor& values, at::Tensor& out);

// Rows of logits held at a time: a few MiB of them, so that they stay in a core's cache.
std::int64_t rows_per_chunk(std::int64_t vocab_size);

}  // namespace regroup::metric
