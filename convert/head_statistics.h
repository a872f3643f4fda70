// What a merge needs to know of a layer: how its heads' keys and values vary together over inputs, how
// strongly queries look at each key, and how much of each value the output projection lets through.
// Everything is a moment of the projections under one matrix, the second moment C = E[x x^T] of the inputs.
//
// Shapes: K key/value heads, D head_dim, C = D/2 rotary pairs, N inputs (attention_layer.h).
// Keys are complex: pair f of a head is k_f = k[f] + i·k[f + D/2] (half-split rotary positions), which a
// position multiplies by a unit number; so a complex factor per pair passes between keys and queries freely.
#pragma once

#include <ATen/ATen.h>

#include "convert/attention_layer.h"

namespace regroup::convert {

// E[x x^T] of a layer's inputs, float64: a matrix [N, N], or a vector [N] for a diagonal one.
struct InputMoments {
  at::Tensor values;
};

// From weights alone: what leaves a normalization has about unit second moment times the norm's weight, so
// C = diag(weight²), with 1 for the bias column.
InputMoments moments_of_norm(const at::Tensor& norm_weight_M, bool with_bias);

struct HeadStatistics {
  at::Tensor keys_CKK;        // complex: E[k_i,f · conj(k_j,f)]
  at::Tensor energy_CK;       // E|q_i,f|², summed over the query heads of head i; floored above 0
  at::Tensor values_KDKD;     // E[v_i v_j^T]
  at::Tensor output_KDD;      // R_i: R_i^T R_i = sum over head i's query heads of W_O^T W_O; invertible
  at::Tensor output_inverse;  // R_i^-1, [K, D, D]

  std::int64_t heads() const { return keys_CKK.size(1); }
  std::int64_t head_dim() const { return values_KDKD.size(1); }
  // Scales of the two errors of a merge (head_merge.h): energy-weighted trace of the keys, output-weighted
  // trace of the values.
  double key_scale() const;
  double value_scale() const;
};

// All float64. R_i's singular values are floored at 1e-4 of the largest, energies at 1e-8 of theirs.
HeadStatistics head_statistics(const AttentionLayer& layer, const InputMoments& moments);

// Half-split pairs of rows as complex rows and back: [.., D, N] <-> [.., D/2, N].
at::Tensor as_pairs(const at::Tensor& heads);
at::Tensor from_pairs(const at::Tensor& pairs);

}  // namespace regroup::convert
