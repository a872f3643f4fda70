// What a merge needs to know of a layer: how its heads' keys and values vary together over inputs, how
// strongly queries look at each key, and how much of each value the output projection lets through.
// Everything is a moment of the projections under one matrix, the second moment C = E[x x^T] of the inputs.
//
// Shapes: K key/value heads, D head_dim, R rotary_dims, C = R/2 rotary pairs, E coordinates that a linear map
// may mix freely, N inputs (attention_layer.h).
//
// Coordinates that positions turn are complex: pair f of a head is k_f = k[f] + i·k[f + R/2], which a
// position multiplies by a unit number; so a complex factor per pair passes between keys and queries freely.
// Between keys and queries of the other D - R coordinates, and between values and the output projection, any
// invertible map does.
#pragma once

#include <ATen/ATen.h>

#include "convert/attention_layer.h"

namespace regroup::convert {

// E[x x^T] of a layer's inputs, float64: a matrix [N, N], or a vector [N] for a diagonal one.
struct InputMoments {
  at::Tensor values;
  bool finite() const { return values.isfinite().all().item<bool>(); }
};

// From weights alone: what leaves a normalization has about unit second moment times its weight, and its
// bias: C = diag(weight²) + bias bias^T, the entry 1 beside the bias column. Undefined: weight 1, bias 0.
InputMoments moments_of_norm(const at::Tensor& weight_M, const at::Tensor& bias_M, bool with_bias_column,
                             std::int64_t hidden);

// Coordinates x of heads that any map may mix, and how much what reads them sees of each: a reader of head i
// sees R_i x.
struct MixedMoments {
  at::Tensor moments_KEKE;  // E[x_i x_j^T]
  at::Tensor root_KEE;      // R_i, invertible
  at::Tensor inverse_KEE;   // R_i^-1

  bool empty() const { return !moments_KEKE.defined(); }
  std::int64_t width() const { return moments_KEKE.size(1); }
  double scale() const;  // sum_i E‖R_i x_i‖²
};

struct HeadStatistics {
  at::Tensor keys_CKK;   // complex: E[k_i,f · conj(k_j,f)]
  at::Tensor energy_CK;  // E|q_i,f|², summed over the query heads of head i; floored above 0
  MixedMoments
      free_keys;  // not turned by positions; R_i^T R_i = E[q_i q_i^T] over its query heads; may be empty
  MixedMoments values;           // R_i^T R_i = sum over head i's query heads of W_O^T W_O
  bool keys_are_normed = false;  // head by head, before positions: no map passes between keys and queries

  std::int64_t heads() const { return values.moments_KEKE.size(0); }
  std::int64_t head_dim() const { return values.width(); }
  // Scales of the two errors of a merge (head_merge.h): of keys weighted by what queries see of them, of
  // values weighted by what the output projection does.
  double key_scale() const;
  double value_scale() const { return values.scale(); }
};

// All float64. R_i's singular values are floored at 1e-4 of the largest, energies at 1e-8 of theirs.
HeadStatistics head_statistics(const AttentionLayer& layer, const InputMoments& moments);

// Half-split pairs of rows as complex rows and back: [.., D, N] <-> [.., D/2, N].
at::Tensor as_pairs(const at::Tensor& heads);
at::Tensor from_pairs(const at::Tensor& pairs);

}  // namespace regroup::convert
