// How the key/value heads of one group become a single head: one row a method.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "convert/head_merge.h"

namespace regroup::convert {

// What a method may depend on besides the statistics.
struct MergeContext {
  std::int64_t head_dim = 0, rotary_dims = 0;
  bool calibrated = false;  // the statistics are of tokens, not of weights alone
};

struct MergeMethod {
  std::string_view name;      // as written in a configuration
  std::string_view summary;   // as printed by --help
  std::string_view grouping;  // the row of groupings() that is its default
  bool uses_statistics;       // else heads are combined by fixed numbers, and no statistics are made
  bool turns_heads;           // writes query and output projections too: its merges have views
  // Laws that hold for some rows and not for others, each tested over all of them (tests/laws).
  bool ignores_order;  // the model does not depend on the order of heads inside a group
  bool is_least;  // no merge has a lesser merge_error(): a grouped model behind any symmetry is found again
  // The merge of `members`, of at least two. Null: the heads are drawn afresh (with_drawn_heads).
  HeadMerge (*merge)(const HeadStatistics& statistics, const Members& members, const MergeContext& context);
  // A quicker way to group_error(); null: there is none.
  MergeError (*quick_error)(const HeadStatistics& statistics, const Members& members);
};

// What a method's merge of `members` loses: its merge_error(). Nothing for one member.
MergeError group_error(const MergeMethod& method, const HeadStatistics& statistics, const Members& members,
                       const MergeContext& context);

// What it costs: the total of that.
double group_cost(const MergeMethod& method, const HeadStatistics& statistics, const Members& members,
                  const MergeContext& context);

// Every method, in the order --help prints them. Tests loop over this table.
std::span<const MergeMethod> merge_methods();

// The one that keeps most of a model (docs/methods.md has the table).
inline constexpr std::string_view kBestMethod = "optimal";

// The grouping it goes by where none is asked for: its own, or contiguous where heads cannot change places.
std::string_view grouping_of(const MergeMethod& method, const family::ModelConfig& config);

// UserError that lists the names for an unknown one.
const MergeMethod& merge_method(std::string_view name);

// Fresh key and value heads as a model's own initialization draws them (Ainslie et al. 2023, the `random`
// ablation): normal with deviation `initializer_range`, biases zero; determined by seed and layer.
AttentionLayer with_drawn_heads(const AttentionLayer& layer, std::int64_t groups, double initializer_range,
                                std::uint64_t seed, std::int64_t layer_index);

}  // namespace regroup::convert
