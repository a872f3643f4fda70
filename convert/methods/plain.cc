// Merges that leave every head as it stands: queries and outputs do not change.
#include <algorithm>
#include <vector>

#include "convert/methods/methods.h"

namespace regroup::convert {
namespace {

// The same real share of a member's keys and values, [S].
HeadMerge shares(const std::vector<double>& shares_S, const MergeContext& context) {
  const auto size = static_cast<std::int64_t>(shares_S.size());
  const at::Tensor factors = at::tensor(shares_S, at::kDouble);
  const auto mixed = [&](std::int64_t width) {
    return MixedMaps{.mix_SEE = factors.view({-1, 1, 1}) * at::eye(width, at::kDouble), .view_SEE = {}};
  };
  const std::int64_t free = context.head_dim - context.rotary_dims;
  return {
      .key_mix_SC =
          factors.to(at::kComplexDouble).unsqueeze(1).expand({size, context.rotary_dims / 2}).contiguous(),
      .key_view_SC = {},
      .free_keys = free > 0 ? mixed(free) : MixedMaps{},
      .values = mixed(context.head_dim)};
}

HeadMerge only(std::size_t member, std::size_t size, const MergeContext& context) {
  std::vector<double> one(size, 0);
  one[member] = 1;
  return shares(one, context);
}

// E‖R_i v_i‖² of each member.
std::vector<double> output_energies(const HeadStatistics& statistics, const Members& members) {
  std::vector<double> energies;
  for (const std::int64_t head : members) {
    const at::Tensor root = statistics.values.root_KEE[head];
    const at::Tensor own = statistics.values.moments_KEKE.select(0, head).select(1, head);
    energies.push_back((at::matmul(root, own) * root).sum().item<double>());
  }
  return energies;
}

}  // namespace

HeadMerge merge_mean(const HeadStatistics&, const Members& members, const MergeContext& context) {
  return shares(std::vector<double>(members.size(), 1 / static_cast<double>(members.size())), context);
}

HeadMerge merge_first(const HeadStatistics&, const Members& members, const MergeContext& context) {
  return only(0, members.size(), context);
}

HeadMerge merge_select(const HeadStatistics& statistics, const Members& members,
                       const MergeContext& context) {
  std::vector<double> worth;
  if (context.calibrated) {
    worth = output_energies(statistics, members);
  } else {
    for (std::size_t i = 0; i < members.size(); ++i)
      worth.push_back(-merge_error(statistics, members, only(i, members.size(), context)).total());
  }
  const auto best = static_cast<std::size_t>(std::ranges::max_element(worth) - worth.begin());
  return only(best, members.size(), context);
}

HeadMerge merge_mean_renorm(const HeadStatistics& statistics, const Members& members,
                            const MergeContext& context) {
  HeadMerge merge = merge_mean(statistics, members, context);
  scale_to_members(statistics, members, merge);
  return merge;
}

}  // namespace regroup::convert
