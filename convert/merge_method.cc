#include "convert/merge_method.h"

#include <fmt/format.h>

#include <array>
#include <string>
#include <vector>

#include "convert/methods/methods.h"
#include "core/base/error.h"
#include "core/base/random.h"

namespace regroup::convert {
namespace {

constexpr std::array kMethods = {
    MergeMethod{.name = "mean",
                .summary = "the mean of a group's heads (Ainslie et al. 2023)",
                .grouping = "contiguous",
                .uses_statistics = false,
                .turns_heads = false,
                .ignores_order = true,
                .is_least = false,
                .merge = merge_mean,
                .quick_error = nullptr},
    MergeMethod{.name = "first",
                .summary = "the first head of each group (their ablation)",
                .grouping = "contiguous",
                .uses_statistics = false,
                .turns_heads = false,
                .ignores_order = false,
                .is_least = false,
                .merge = merge_first,
                .quick_error = nullptr},
    MergeMethod{.name = "random",
                .summary = "fresh random heads (their ablation: everything is left to uptraining)",
                .grouping = "contiguous",
                .uses_statistics = false,
                .turns_heads = false,
                .ignores_order = true,
                .is_least = false,
                .merge = nullptr,
                .quick_error = nullptr},
    MergeMethod{.name = "select",
                .summary = "the most important head of each group",
                .grouping = "contiguous",
                .uses_statistics = true,
                .turns_heads = false,
                .ignores_order = true,
                .is_least = false,
                .merge = merge_select,
                .quick_error = nullptr},
    MergeMethod{.name = "mean-renorm",
                .summary = "the mean, scaled to the members' size",
                .grouping = "contiguous",
                .uses_statistics = true,
                .turns_heads = false,
                .ignores_order = true,
                .is_least = false,
                .merge = merge_mean_renorm,
                .quick_error = nullptr},
    MergeMethod{.name = "aligned-mean",
                .summary = "the mean of heads turned towards each other (Jin et al. 2024)",
                .grouping = "cost",
                .uses_statistics = true,
                .turns_heads = true,
                .ignores_order = false,
                .is_least = false,
                .merge = merge_aligned_mean,
                .quick_error = nullptr},
    MergeMethod{.name = "aligned-renorm",
                .summary = "the same, scaled to the members' size",
                .grouping = "cost",
                .uses_statistics = true,
                .turns_heads = true,
                .ignores_order = false,
                .is_least = false,
                .merge = merge_aligned_renorm,
                .quick_error = nullptr},
    MergeMethod{.name = "optimal",
                .summary = "the least-squares merge over all exact symmetries",
                .grouping = "cost",
                .uses_statistics = true,
                .turns_heads = true,
                .ignores_order = true,
                .is_least = true,
                .merge = merge_optimal,
                .quick_error = optimal_error},
};

}  // namespace

MergeError group_error(const MergeMethod& method, const HeadStatistics& statistics, const Members& members,
                       const MergeContext& context) {
  if (members.size() == 1) return {};
  if (method.quick_error && !statistics.keys_are_normed) return method.quick_error(statistics, members);
  check(method.merge != nullptr, "a method that keeps nothing has no cost");
  return merge_error(statistics, members, method.merge(statistics, members, context));
}

double group_cost(const MergeMethod& method, const HeadStatistics& statistics, const Members& members,
                  const MergeContext& context) {
  return group_error(method, statistics, members, context).total();
}

std::span<const MergeMethod> merge_methods() {
  return kMethods;
}

std::string_view grouping_of(const MergeMethod& method, const family::ModelConfig& config) {
  return config.heads_can_move() ? method.grouping : "contiguous";
}

const MergeMethod& merge_method(std::string_view name) {
  std::vector<std::string> names;
  for (const MergeMethod& method : kMethods) {
    if (method.name == name) return method;
    names.emplace_back(method.name);
  }
  throw UserError({.where = "--method",
                   .what = "no such method",
                   .expected = "one of " + list_some(names, 20),
                   .found = fmt::format("'{}'", name)});
}

AttentionLayer with_drawn_heads(const AttentionLayer& layer, std::int64_t groups, double initializer_range,
                                std::uint64_t seed, std::int64_t layer_index) {
  const auto drawn = [&](const at::Tensor& heads_KDN, std::string_view which) {
    at::Tensor fresh = at::zeros({groups, layer.head_dim(), heads_KDN.size(2)}, at::kFloat);
    at::Tensor weights = at::empty({groups, layer.head_dim(), layer.hidden}, at::kFloat);
    RandomStream stream(seed, fmt::format("convert/random/{}/{}", layer_index, which));
    const std::span values(weights.mutable_data_ptr<float>(), static_cast<std::size_t>(weights.numel()));
    for (float& value : values) value = static_cast<float>(initializer_range * stream.normal());
    fresh.narrow(2, 0, layer.hidden).copy_(weights);
    return fresh.to(heads_KDN.scalar_type());
  };
  AttentionLayer merged = layer;
  merged.k_KDN = drawn(layer.k_KDN, "key");
  merged.v_KDN = drawn(layer.v_KDN, "value");
  if (layer.k_norm_KD.defined()) merged.k_norm_KD = at::ones_like(layer.k_norm_KD.narrow(0, 0, groups));
  return merged;
}

}  // namespace regroup::convert
