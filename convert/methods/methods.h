// The merges behind the table in merge_method.cc. S members, C pairs, E freely mixed, as in head_merge.h.
#pragma once

#include "convert/merge_method.h"

namespace regroup::convert {

// Equal shares: Ainslie et al. 2023, section 2.1.
HeadMerge merge_mean(const HeadStatistics& statistics, const Members& members, const MergeContext& context);

// The first of the group: their ablation.
HeadMerge merge_first(const HeadStatistics& statistics, const Members& members, const MergeContext& context);

// One member for all. From text, the one whose outputs are strongest, E‖R_i v_i‖² (as Model-Optimizer's
// PruneKVHeads ranks heads); from weights, the medoid: the one that costs least as everybody's head.
HeadMerge merge_select(const HeadStatistics& statistics, const Members& members, const MergeContext& context);

// The mean, keys and values each scaled to the mean of the members' norms: heads that point apart cancel in a
// mean, by sqrt(S) if they are orthogonal, and this gives the length back.
HeadMerge merge_mean_renorm(const HeadStatistics& statistics, const Members& members,
                            const MergeContext& context);

// Members are turned towards each other first, by what leaves the model as it is: a phase per rotary pair of
// keys, an orthogonal map of values (Jin et al. 2024, arXiv 2412.20677, generalized Procrustes; here until
// the distance to the mean settles). Never further from the members than the plain mean is.
HeadMerge merge_aligned_mean(const HeadStatistics& statistics, const Members& members,
                             const MergeContext& context);
HeadMerge merge_aligned_renorm(const HeadStatistics& statistics, const Members& members,
                               const MergeContext& context);

// The minimum of merge_error() over all maps: for keys the leading eigenvector per rotary pair of the
// members' cross moments weighted by query energy, for values the leading D-dimensional eigenspace of the
// members' values weighted by the output projection.
HeadMerge merge_optimal(const HeadStatistics& statistics, const Members& members,
                        const MergeContext& context);
MergeError optimal_error(const HeadStatistics& statistics, const Members& members);

// Keys of equal weight, whatever the size of their heads, which a norm takes away again: the merge of keys
// where no map passes between them and queries.
void merge_normed_keys(const HeadStatistics& statistics, const Members& members, HeadMerge& merge);

// Scales a merge's head so that the root mean square of its keys, and of its values, is the mean of the
// members'. Changes the model.
void scale_to_members(const HeadStatistics& statistics, const Members& members, HeadMerge& merge);

// Brings the numbers of a merge's head to the size of its members', keys pair by pair, and takes that back in
// the views, where there are any: the model stays, and its weights keep a size that roundings and optimizers
// expect.
void balance(const HeadStatistics& statistics, const Members& members, HeadMerge& merge);

}  // namespace regroup::convert
