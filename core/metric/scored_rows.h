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

// How hidden states are come by: for each batch of ids, [B, T] int64 on the CPU, hands over its place and
// what Decoder::hidden_states() has for it, on the model's device, in the order given.
using HiddenStates =
    std::function<void(std::span<const at::Tensor> batches_BT,
                       const std::function<void(std::size_t batch, const at::Tensor& hidden_BTM)>& take)>;

// Of a decoder that is in memory as a whole. It is borrowed.
HiddenStates states_of(const model::Decoder& decoder);
// Of one that is not (core/model/layer_by_layer.h): the same to the bit. `head`, which needs no layers, says
// where and in what type; `streams(N, M)` gives room for the residual streams of a pass; `done` is told
// what share of the pass each step was. Both models are borrowed.
HiddenStates layer_by_layer(const family::ModelDirectory& model, const model::Decoder& head,
                            std::function<at::Tensor(std::int64_t, std::int64_t)> streams,
                            std::function<void(double)> done);

// Hands over every scored token of `windows` once. At most `batch` windows of the longest length are run at a
// time, without gradients, of shorter ones as many as hold no more tokens; longest first. Windows of about
// one length share a batch.
void for_each_batch(const HiddenStates& states, const std::vector<std::int32_t>& tokens,
                    const std::vector<data::Window>& windows, std::int64_t batch,
                    const std::function<void(const ScoredRows&)>& take);

// Puts the rows of `values`, [N, …] in a batch's order, to their places in `out`, [all scored tokens, …] of
// the same type on the CPU.
void place(const ScoredRows& rows, const at::Tensor& values, at::Tensor& out);

// Rows of logits held at a time: a few MiB of them, so that they stay in a core's cache.
std::int64_t rows_per_chunk(std::int64_t vocab_size);

}  // namespace regroup::metric
