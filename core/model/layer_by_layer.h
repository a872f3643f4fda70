// A forward pass with one layer in memory at a time: for models larger than memory. Every weight is read
// once, for all the tokens there are, whose residual streams are held meanwhile.
//
// Shapes: B batch, T tokens, N the tokens of all batches, M hidden.
#pragma once

#include <ATen/ATen.h>

#include <functional>
#include <span>

#include "core/family/model_directory.h"

namespace regroup::model {

// Fills streams_NM with the residual streams after the last layer, which Decoder::final_states() takes: batch
// after batch, row after row, to the bit what a whole decoder has for each of `batches_BT` (int64 ids on the
// CPU) in the type of streams_NM. That lies on the CPU and may be a mapped file. No gradients. `done` is told
// the tokens that went through each of the layers, batch by batch: layers · N in all.
void run_layer_by_layer(const family::ModelDirectory& model, std::span<const at::Tensor> batches_BT,
                        at::Device device, const at::Tensor& streams_NM,
                        const std::function<void(double)>& done);

// Hands over each batch with its rows of such streams, [B, T, M], in order.
void for_each_stream(std::span<const at::Tensor> batches_BT, const at::Tensor& streams_NM,
                     const std::function<void(const at::Tensor& batch_BT, at::Tensor stream_BTM)>& take);

}  // namespace regroup::model
