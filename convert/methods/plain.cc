// Merges that leave every head as it stands: queries and outputs do not change.
#include <algorithm>
#include <vector>

#include "convert/methods/methods.h"

namespace regroup::convert {
namespace {

// The same real share of a member's keys and values, [S].
HeadMerge shares(const std::vector<double>& shares_S, std::int64_t head_dim) {
  const auto size = static_cast<std::int64_t>(shares_S.size());
  const at::Tensor factors = at::tensor(shares_S, at::kDouble);
  return {.key_mix_SC = factors.to(at::kComplexDouble).unsqueeze(1).expand({size, head_dim / 2}).contiguous(),
          .value_mix_SDD = factors.view({-1, 1, 1}) * at::eye(head_dim, at::kDouble)};
}

HeadMerge only(std::size_t member, std::size_t size, std::int64_t head_dim) {
  std::vector<double> one(size, 0);
  one[member] = 1;
  return shares(one, head_dim);
}

// E‖R_i v_i‖² of each member.
std::vector<double> output_energies(const HeadStatistics& statistics, const Members& members) {
  std::vector<double> energies;
  for (const std::int64_t head : members) {
    const at::Tensor root = statistics.output_KDD[head];
    const at::Tensor own = statistics.values_KDKD.select(0, head).select(1, head);
    energies.push_back((at::matmul(root, own) * root).sum().item<double>());
  }
  return energies;
}

}  // namespace

HeadMerge merge_mean(const HeadStatistics&, const Members& members, const MergeContext& context) {
  return shares(std::vector<double>(members.size(), 1 / static_cast<double>(members.size())),
                context.head_dim);
}

HeadMerge merge_first(const HeadStatistics&, const Members& members, const MergeContext& context) {
  return only(0, members.size(), context.head_dim);
}

HeadMerge merge_select(const HeadStatistics& statistics, const Members& members,
                       const MergeContext& context) {
  std::vector<double> worth;
  if (context.calibrated) {
    worth = output_energies(statistics, members);
  } else {
    for (std::size_t i = 0; i < members.size(); ++i)
      worth.push_back(-merge_error(statistics, members, only(i, members.size(), context.head_dim)).total());
  }
  const auto best = static_cast<std::size_t>(std::ranges::max_element(worth) - worth.begin());
  return only(best, members.size(), context.head_dim);
}

HeadMerge merge_mean_renorm(const HeadStatistics& statistics, const Members& members,
                            const MergeContext& context) {
  HeadMerge merge = merge_mean(statistics, members, context);
  scale_to_members(statistics, members, merge);
  return merge;
}

}  // namespace regroup::convert
