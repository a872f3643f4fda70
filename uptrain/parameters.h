// The weights under training: float32 masters, their gradients and the optimizer's moments, each one flat
// buffer, and the copies that the decoder computes with.
//
// Flat, because an optimizer step is then a handful of passes over memory whatever the number of tensors.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "core/model/decoder.h"
#include "uptrain/optimizer.h"

namespace regroup::uptrain {

// How a run treats a weight.
struct Treatment {
  bool trained = true;
  double lr_multiplier = 1;
  UpdateRule of_matrices = UpdateRule::kAdamW;  // what it is updated by if it is a matrix (Optimizer)
};
using Treatments = std::function<Treatment(const model::WeightKey&)>;

// Where a weight lies in the flat buffers. Weights that are treated alike lie together, trained ones first.
struct Slot {
  model::WeightKey key;
  std::vector<std::int64_t> shape;
  std::int64_t offset = 0, elements = 0;
  Treatment treatment = {};
  bool decays = false;  // matrices; not norms, biases and embeddings
  UpdateRule rule = UpdateRule::kAdamW;
};

// Every weight's place. `treatments` may be empty: all are trained.
std::vector<Slot> make_slots(const model::Weights& weights, const Treatments& treatments);

// Numbers of weights, by what is held for them.
struct Counts {
  std::int64_t all = 0, trained = 0;  // of trained ones: gradient and first moment
  std::int64_t second_moments = 0;    // of trained ones: those that AdamW updates
};
Counts count(std::span<const Slot> slots);

class Parameters {
 public:
  // Takes the values of `weights`, freeing each once it has them; `compute` is bfloat16 or the masters' own
  // dtype, which is at least float32.
  Parameters(model::Weights weights, at::ScalarType compute, const Treatments& treatments = {});

  // What the decoder reads: leaves whose storage follows the masters. Only trained ones require gradients.
  const model::Weights& compute() const { return compute_; }
  const std::vector<Slot>& slots() const { return slots_; }

  // [shape of the slot], sharing memory with the flat buffer. Gradient and moments: of trained slots only;
  // no second moment of one that is Muon's.
  at::Tensor master(const Slot& slot) const { return view(master_, slot); }
  at::Tensor gradient(const Slot& slot) const { return view(gradient_, slot); }
  at::Tensor first_moment(const Slot& slot) const { return view(first_, slot); }
  at::Tensor second_moment(const Slot& slot) const { return view(second_, slot); }
  at::Tensor gradient(const model::WeightKey& key) const;  // undefined for a weight that is not trained
  std::int64_t trained_elements() const;

  void zero_gradient();
  // Adds what a backward pass left at the leaves to the float32 gradients, and clears it.
  void gather_gradients();
  double gradient_norm() const;
  void scale_gradient(double factor);
  // One update by every slot's rule: AdamW (Loshchilov and Hutter 2019) or Muon; `step` counts from 1.
  // Refreshes the computing copies.
  void update(const OptimizerSettings& settings, std::int64_t step);
  // After masters were written from outside.
  void refresh_compute();

 private:
  static at::Tensor view(const at::Tensor& flat, const Slot& slot);

  // A run of neighbouring slots that one optimizer call updates.
  struct Group {
    std::int64_t offset = 0, elements = 0;
    double lr_multiplier = 1;
    bool decays = false;
  };

  void update_matrix(const Slot& slot, OptimizerSettings settings);

  std::vector<Slot> slots_;
  std::vector<Group> groups_;  // of AdamW's
  at::Tensor master_, gradient_, first_, second_, copy_;
  model::Weights compute_;
};

}  // namespace regroup::uptrain
