// The merge of one group of heads, as linear maps: how its members' keys and values become one head's, and
// what each member's queries and output then see of it. Every method is a choice of these maps; applying
// them, and measuring what they lose, is the same for all.
//
// Shapes: S members of a group, D head_dim, C rotary pairs, E coordinates that are mixed freely
// (head_statistics.h).
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <vector>

#include "convert/attention_layer.h"
#include "convert/grouping.h"
#include "convert/head_statistics.h"

namespace regroup::convert {

// Maps of coordinates that are mixed freely, float64.
struct MixedMaps {
  at::Tensor mix_SEE;   // x_g = sum_i mix_i x_i
  at::Tensor view_SEE;  // member i sees view_i · x_g where it saw x_i; undefined: x_g itself
};

struct HeadMerge {
  at::Tensor key_mix_SC;   // complex128: k_g,f = sum_i mix_i,f k_i,f
  at::Tensor key_view_SC;  // member i sees view_i,f · k_g,f where it saw k_i,f; undefined: k_g,f itself
  MixedMaps free_keys;     // of the coordinates that positions leave alone; empty if there are none
  MixedMaps values;
  // Views are taken into what reads: q_i,f <- conj(view) q_i,f, q_i <- view^T q_i of free coordinates, and
  // W_O,i <- W_O,i · view. Where they are undefined, queries and outputs stay as they are.
};

// What a merge loses: expected squared errors of attention logits and of outputs, phases of queries and keys
// taken as independent: sum_i sum_f energy_i,f E|k_i,f - view_i,f k_g,f|² plus sum_i E‖R_i (k_i - view_i
// k_g)‖² of free coordinates, and sum_i E‖R_i (v_i - view_i v_g)‖², in units of the layer's key_scale() and
// value_scale().
struct MergeError {
  double keys = 0, values = 0;
  double total() const { return keys + values; }
};
// An error in units of a scale; heads without any size lose nothing.
double in_units_of(double scale, double error);
MergeError merge_error(const HeadStatistics& statistics, const Members& members, const HeadMerge& merge);

// The layer with one key/value head for each group. Query heads follow their key/value head, members of a
// group in the order given. In the layer's own type, where a merge changes nothing not a bit is changed.
AttentionLayer apply(const AttentionLayer& layer, const Grouping& grouping,
                     const std::vector<HeadMerge>& merges);

// Rows and columns of `heads` of the statistics' cross moments.
at::Tensor key_block(const HeadStatistics& statistics, const Members& members);  // [C, S, S]
at::Tensor mixed_block(const MixedMoments& mixed, const Members& members);       // [S, E, S, E]

}  // namespace regroup::convert
