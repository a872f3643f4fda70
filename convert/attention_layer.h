// One layer's attention projections in canonical form, whatever the file's layout: what the merge works on.
//
// Shapes: H query heads, K key/value heads, D head_dim, M hidden; N = M, or M + 1 where one of the query, key
// and value projections has a bias. The bias then is the last column, so that a projection acts on [x; 1] and
// every map of heads treats weight and bias alike.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <vector>

#include "core/family/model_directory.h"

namespace regroup::convert {

struct AttentionLayer {
  at::Tensor q_HDN, k_KDN, v_KDN, o_MHD;  // q and o undefined where only keys and values were read
  // Norms of queries and keys that hold numbers for every head, [H, D] and [K, D]; undefined: there are none.
  at::Tensor q_norm_HD, k_norm_KD;
  family::QkNorm qk_norm = family::QkNorm::kNone;
  std::int64_t hidden = 0;
  std::int64_t rotary_dims = 0;  // coordinates of a head that positions turn, the first ones

  bool has_queries() const { return q_HDN.defined(); }
  std::int64_t kv_heads() const { return k_KDN.size(0); }
  std::int64_t group() const { return q_HDN.size(0) / kv_heads(); }  // query heads of a key/value head
  std::int64_t head_dim() const { return k_KDN.size(1); }
  bool has_bias() const { return k_KDN.size(2) > hidden; }
};

// Reads it, in float64 if the key projection is stored so, else in float32. UserError naming tensor and file
// if a value is NaN or infinite.
AttentionLayer read_attention(const family::ModelDirectory& model, std::int64_t layer, bool with_queries);

// The parts that an AttentionLayer of this configuration holds: q, k, v, o weights, q, k, v biases, and norms
// of single heads.
bool in_attention_layer(const family::ModelConfig& config, family::Part part);

// One of its parts as the decoder has it: projections [heads·D, M] and biases [heads·D], the output
// projection [M, H·D], norms [heads·D] or [heads, D].
at::Tensor part_of(const family::ModelConfig& config, const AttentionLayer& layer, family::Part part);

// Key/value heads in another order, each with its query heads: `order[i]` is the head that becomes the i-th.
// Leaves the layer's function as it is (conversion without per-head positions).
AttentionLayer permuted(const AttentionLayer& layer, const std::vector<std::int64_t>& order);

}  // namespace regroup::convert
