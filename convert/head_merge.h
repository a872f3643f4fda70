// The merge of one group of heads, as linear maps: how its members' keys and values become one head's, and
// what each member's queries and output then see of it. Every method is a choice of these maps; applying
// them, and measuring what they lose, is the same for all.
//
// Shapes: S members of a group, D head_dim, C = D/2 rotary pairs.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <vector>

#include "convert/attention_layer.h"
#include "convert/grouping.h"
#include "convert/head_statistics.h"

namespace regroup::convert {

struct HeadMerge {
  at::Tensor key_mix_SC;     // complex128: k_g,f = sum_i mix_i,f k_i,f
  at::Tensor value_mix_SDD;  // float64: v_g = sum_i mix_i v_i
  // Member i sees key_view_i,f · k_g,f where it saw k_i,f, and value_view_i · v_g where it saw v_i: taken
  // into its queries, q_i,f <- conj(view) q_i,f, and its output columns, W_O,i <- W_O,i · view. Undefined: 1,
  // and queries and outputs stay as they are.
  at::Tensor key_view_SC, value_view_SDD;
};

// What a merge loses: expected squared errors of attention logits and of outputs, phases of queries and keys
// taken as independent. sum_i sum_f energy_i,f E|k_i,f - view_i,f k_g,f|² and
// sum_i E‖R_i (v_i - view_i v_g)‖², in units of the layer's key_scale() and value_scale().
struct MergeError {
  double keys = 0, values = 0;
  double total() const { return keys + values; }
};
MergeError merge_error(const HeadStatistics& statistics, const Members& members, const HeadMerge& merge);

// The layer with one key/value head for each group. Query heads follow their key/value head, members of a
// group in the order given. In the layer's own type, where a merge changes nothing not a bit is changed.
AttentionLayer apply(const AttentionLayer& layer, const Grouping& grouping,
                     const std::vector<HeadMerge>& merges);

// Rows and columns of `heads` of the statistics' cross moments.
at::Tensor key_block(const HeadStatistics& statistics, const Members& members);    // [C, S, S]
at::Tensor value_block(const HeadStatistics& statistics, const Members& members);  // [S, D, S, D]

}  // namespace regroup::convert
