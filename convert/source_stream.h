// The source model over calibration tokens, one layer at a time: what its attention reads, layer by layer.
//
// Shapes: W windows, B of them at a time, T tokens of a window, M hidden, N inputs (attention_layer.h).
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <functional>

#include "convert/calibration.h"
#include "convert/head_statistics.h"
#include "core/family/model_directory.h"
#include "core/model/positions.h"
#include "core/model/weights.h"

namespace regroup::convert {

// What a pass over calibration tokens computes in: float32, or float64 for a model that is stored so.
at::ScalarType arithmetic_of(const family::ModelDirectory& model);

class SourceStream {
 public:
  // Some windows on their way through a layer.
  struct Step {
    std::int64_t begin;     // the first of them
    at::Tensor stream_BTM;  // the residual stream before the layer
    at::Tensor input_BTM;   // what attention reads of it
    at::Tensor output_BTM;  // what attention adds to it
  };

  // `stream_WTM`, on the CPU, holds the residual streams of all windows and starts as their embeddings; it
  // may be a mapped file. What is borrowed must outlive this.
  SourceStream(const family::ModelDirectory& model, const at::Tensor& tokens_WT, at::Tensor stream_WTM,
               at::Device device);

  // Takes all windows through the next layer, whose weights these are; `visit` sees them on the way. What
  // comes out of the last one nobody reads: there they go no further than its attention.
  void advance(const model::Weights& weights, const std::function<void(const Step&)>& visit);

  const at::Tensor& stream_WTM() const { return stream_WTM_; }
  const model::Rotation& rotation() const { return rotation_; }
  std::int64_t layer() const { return layer_; }  // the next one

 private:
  const family::ModelConfig& config_;
  at::Tensor stream_WTM_;
  at::Device device_;
  model::Rotation rotation_;
  std::int64_t layer_ = 0;
};

// The second moment of a layer's inputs over positions that may count differently.
class MomentSum {
 public:
  // `weight_T1` of positions; `inputs` is one more than M where projections have a bias.
  MomentSum(std::int64_t inputs, at::Tensor weight_T1);
  void add(const at::Tensor& input_BTM);
  InputMoments mean() const;

 private:
  at::Tensor weight_T1_, sum_NN_;
  std::int64_t windows_ = 0;
};

}  // namespace regroup::convert
