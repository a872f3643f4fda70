#include "convert/layer_merge.h"

#include <algorithm>
#include <cmath>

#include "convert/norms_over_heads.h"
#include "core/base/error.h"

namespace regroup::convert {
namespace {

// Costs that may be asked for in a layer's share of the time. From a nominal speed, not from the clock: the
// same conversion chooses the same groups on every run. A cost is mostly the eigenvalues of a matrix of all
// members' coordinates.
std::int64_t affordable_costs(const MergeRecipe& recipe, std::int64_t kv_heads, std::int64_t head_dim) {
  const double coordinates = static_cast<double>(kv_heads / recipe.groups * head_dim);
  const double seconds = 3e-4 + 2e-10 * std::pow(coordinates, 3);
  constexpr double kMost = 1e15;  // more than any search comes to
  return static_cast<std::int64_t>(
      std::min(recipe.grouping_seconds / static_cast<double>(recipe.layers) / seconds, kMost));
}

}  // namespace

MergeProblem merge_problem(const AttentionLayer& stored, const InputMoments* moments, bool calibrated,
                           const MergeMethod& method) {
  MergeProblem problem{
      .source = stored,
      .normed_over_heads = stored.qk_norm == family::QkNorm::kRmsOfAll && method.merge != nullptr};
  if (problem.normed_over_heads) problem.source = with_norms_taken_in(stored, method.turns_heads);
  if (moments) problem.statistics = head_statistics(problem.source, *moments);
  problem.context = {.head_dim = problem.source.head_dim(),
                     .rotary_dims = problem.source.rotary_dims,
                     .calibrated = calibrated};
  return problem;
}

ChosenGroups choose_groups(const MergeRecipe& recipe, std::int64_t kv_heads, std::int64_t head_dim,
                           std::int64_t layer, const std::function<double(const Members&)>& cost) {
  if (!recipe.given.empty()) return {recipe.given[static_cast<std::size_t>(layer)], false};
  if (!recipe.by_cost) return {contiguous_groups(kv_heads, recipe.groups), false};
  return cheapest_groups({.heads = kv_heads,
                          .groups = recipe.groups,
                          .cost = cost,
                          .evaluations = affordable_costs(recipe, kv_heads, head_dim),
                          .seed = recipe.seed});
}

MergedLayer merge_layer(const AttentionLayer& stored, const InputMoments* moments, bool calibrated,
                        const MergeRecipe& recipe, std::int64_t layer) {
  check(!recipe.needs_statistics() || moments != nullptr, "this recipe needs the layer's input moments");
  const bool turns = recipe.method->turns_heads;
  const MergeProblem problem =
      merge_problem(stored, recipe.needs_statistics() ? moments : nullptr, calibrated, *recipe.method);
  const auto& [source, normed_over_heads, statistics, context] = problem;
  ChosenGroups chosen = choose_groups(
      recipe, problem.source.kv_heads(), problem.source.head_dim(), layer, [&](const Members& members) {
        return group_cost(*recipe.method, problem.statistics, members, problem.context);
      });
  MergedLayer merged;
  merged.record = {.grouping = std::move(chosen.groups), .exact_grouping = chosen.exact};
  if (recipe.method->merge == nullptr) {
    merged.attention = with_drawn_heads(source, recipe.groups, recipe.initializer_range, recipe.seed, layer);
    return merged;
  }
  std::vector<HeadMerge> merges;
  if (recipe.needs_statistics()) merged.record.error = MergeError{};
  for (const Members& members : merged.record.grouping) {
    merges.push_back(recipe.method->merge(statistics, members, context));
    if (!merged.record.error) continue;
    const MergeError error = merge_error(statistics, members, merges.back());
    merged.record.error->keys += error.keys;
    merged.record.error->values += error.values;
  }
  merged.attention = apply(source, merged.record.grouping, merges);
  if (normed_over_heads) {
    set_norms(permuted(stored, order_of(merged.record.grouping)), moments, turns, merged.attention);
  }
  return merged;
}

}  // namespace regroup::convert
