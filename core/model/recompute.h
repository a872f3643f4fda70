// Activation recomputation (Chen et al. 2016, 1604.06174), a layer at a time: the backward pass runs a layer
// forward again instead of finding its activations in memory. One more forward pass, the same gradients to
// the bit.
#pragma once

#include <ATen/ATen.h>

#include <functional>

namespace regroup::model {

// While one lives, decoders on this thread keep of each layer only its input for the backward pass: a mode,
// as at::NoGradGuard is one.
class RecomputeGuard {
 public:
  explicit RecomputeGuard(bool on);
  ~RecomputeGuard();
  RecomputeGuard(const RecomputeGuard&) = delete;
  RecomputeGuard& operator=(const RecomputeGuard&) = delete;

 private:
  bool before_;
};

bool recomputing();

using LayerFunction = std::function<at::Tensor(const at::Tensor& x_BTM)>;

// layer(x), which is called again in the backward pass: what it refers to must live until then, and it must
// give the same result. Gradients reach x if it requires them, and the leaves that `layer` reads.
at::Tensor recomputed(const LayerFunction& layer, const at::Tensor& x_BTM);

}  // namespace regroup::model
