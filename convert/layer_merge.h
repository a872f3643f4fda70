// Merging one layer: statistics, groups, a merge for each group.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "convert/attention_layer.h"
#include "convert/merge_method.h"

namespace regroup::convert {

// How a layer is to be merged, all names resolved.
struct MergeRecipe {
  const MergeMethod* method = nullptr;
  std::int64_t groups = 0;
  bool by_cost = false;          // groups by least cost
  std::vector<Grouping> given;   // groups by layer, in place of contiguous ones; empty: none
  double grouping_seconds = 0;   // for the costs of all layers
  std::int64_t layers = 0;       // of the model
  double initializer_range = 0;  // of the model
  std::uint64_t seed = 0;
  bool moves = false;  // to another architecture: every projection is written anew

  // Query and output projections are written anew: turned, or in another order.
  bool changes_queries() const { return method->turns_heads || by_cost || !given.empty(); }
  bool needs_statistics() const { return method->uses_statistics || by_cost; }
};

// What a refit did: E‖output - target‖² / E‖target‖² on held-out text before it and after.
struct RefitRecord {
  std::string name;
  double before = 0, after = 0;
  bool accepted = false;
};

// What was done to a layer.
struct LayerRecord {
  Grouping grouping;
  bool exact_grouping = false;      // no grouping costs less
  std::optional<MergeError> error;  // of the merge, summed over groups; none without statistics
  std::vector<RefitRecord> refits;
};

struct MergedLayer {
  AttentionLayer attention;
  LayerRecord record;
};

// A layer as its merge sees it: what groups, costs and errors are about.
struct MergeProblem {
  AttentionLayer source;  // norms over all heads taken in (norms_over_heads.h)
  bool normed_over_heads = false;
  HeadStatistics statistics;  // empty without moments
  MergeContext context;
};

// `moments` of the layer's inputs; null: none are looked at. `calibrated`: they are of tokens.
MergeProblem merge_problem(const AttentionLayer& stored, const InputMoments* moments, bool calibrated,
                           const MergeMethod& method);

// The groups of a layer. `cost` of a group's merge is asked for only by a recipe that looks for the least.
ChosenGroups choose_groups(const MergeRecipe& recipe, std::int64_t kv_heads, std::int64_t head_dim,
                           std::int64_t layer, const std::function<double(const Members&)>& cost);

// `moments` of the layer's inputs; may be null for a recipe that needs no statistics.
MergedLayer merge_layer(const AttentionLayer& stored, const InputMoments* moments, bool calibrated,
                        const MergeRecipe& recipe, std::int64_t layer);

}  // namespace regroup::convert
