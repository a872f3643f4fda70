// Heads turned towards each other before their mean is taken.
//
// Procrustes needs only cross moments: the phase that turns k_i to t is that of E[t conj(k_i)], the
// orthogonal map of v_i to t the polar factor of E[t v_i^T], and t, a mean of turned members, has its moments
// from theirs.
#include "convert/methods/methods.h"

namespace regroup::convert {
namespace {

constexpr int kMostRounds = 100;
constexpr double kSettled = 1e-6;  // relative change of the distance

// Starts from a turn of the members and improves it round by round: members towards their mean, the mean of
// the turned. The sum of squared distances to the mean, what Turns::distance() gives, never grows.
template <typename Turns>
at::Tensor settle(const Turns& problem, at::Tensor turns) {
  double distance = problem.distance(turns);
  for (int round = 0; round < kMostRounds; ++round) {
    const at::Tensor next = problem.towards_mean(turns);
    const double closer = problem.distance(next);
    if (!(closer < distance)) break;
    turns = next;
    const bool settled = distance - closer < kSettled * distance;
    distance = closer;
    if (settled) break;
  }
  return turns;
}

// From the members as they stand, and from all turned to the first: the nearer of what these lead to.
template <typename Turns>
at::Tensor best_turns(const Turns& problem) {
  const at::Tensor one = settle(problem, problem.none()), other = settle(problem, problem.towards_first());
  return problem.distance(other) < problem.distance(one) ? other : one;
}

// Unit numbers u_i,f, [C, S]: the member turned is u_i k_i.
struct KeyTurns {
  at::Tensor moments_CSS;

  at::Tensor none() const { return at::ones_like(moments_CSS.select(2, 0)); }
  static at::Tensor unit(const at::Tensor& numbers) { return at::sgn(numbers) + at::eq(numbers, 0); }
  at::Tensor towards_first() const { return unit(moments_CSS.select(1, 0)); }  // E[k_0 conj(k_i)]
  at::Tensor towards_mean(const at::Tensor& turns_CS) const {
    // E[t conj(k_i)] = sum_j u_j M_ji / S
    return unit(at::matmul(turns_CS.unsqueeze(1), moments_CSS).squeeze(1));
  }
  double distance(const at::Tensor& turns_CS) const {
    // sum_i E|u_i k_i|² - S E|t|²
    const at::Tensor sum_C =
        (at::matmul(turns_CS.unsqueeze(1), moments_CSS).squeeze(1) * turns_CS.conj()).sum(1);
    const at::Tensor own = moments_CSS.diagonal(0, 1, 2).sum();
    return at::real(own - sum_C.sum() / static_cast<double>(turns_CS.size(1))).item<double>();
  }
};

// Orthogonal U_i, [S, E, E]: the member turned is U_i x_i.
struct MixedTurns {
  at::Tensor moments_SDSD;

  std::int64_t size() const { return moments_SDSD.size(0); }
  std::int64_t dim() const { return moments_SDSD.size(1); }
  at::Tensor none() const {
    return at::eye(dim(), moments_SDSD.options()).expand({size(), dim(), dim()}).contiguous();
  }
  static at::Tensor polar(const at::Tensor& maps_SDD) {
    const auto [left, singular, right] = at::linalg_svd(maps_SDD, /*full_matrices=*/true);
    return at::matmul(left, right);
  }
  at::Tensor towards_first() const {
    return polar(moments_SDSD.select(0, 0).permute({1, 0, 2}));  // E[v_0 v_i^T]
  }
  at::Tensor sums(const at::Tensor& turns_SDD) const {  // sum_j U_j E[v_j v_i^T], [S, D, D]
    return at::matmul(turns_SDD.permute({1, 0, 2}).reshape({dim(), size() * dim()}),
                      moments_SDSD.reshape({size() * dim(), size() * dim()}))
        .view({dim(), size(), dim()})
        .transpose(0, 1);
  }
  at::Tensor towards_mean(const at::Tensor& turns_SDD) const { return polar(sums(turns_SDD)); }
  double distance(const at::Tensor& turns_SDD) const {
    const double sum = (sums(turns_SDD) * turns_SDD).sum().item<double>();
    const at::Tensor flat = moments_SDSD.reshape({size() * dim(), size() * dim()});
    return flat.diagonal().sum().item<double>() - sum / static_cast<double>(size());
  }
};

}  // namespace

HeadMerge merge_aligned_mean(const HeadStatistics& statistics, const Members& members, const MergeContext&) {
  const double share = 1 / static_cast<double>(members.size());
  const auto mixed = [&](const MixedMoments& moments) {
    const at::Tensor turns_SEE = best_turns(MixedTurns{mixed_block(moments, members)});
    return MixedMaps{.mix_SEE = turns_SEE * share, .view_SEE = turns_SEE.transpose(1, 2).contiguous()};
  };
  HeadMerge merge;
  merge.values = mixed(statistics.values);
  if (statistics.keys_are_normed) {
    merge_normed_keys(statistics, members, merge);
    return merge;
  }
  const at::Tensor keys_SC = best_turns(KeyTurns{key_block(statistics, members)}).t();
  merge.key_mix_SC = keys_SC * share;
  merge.key_view_SC = keys_SC.conj().resolve_conj();
  if (!statistics.free_keys.empty()) merge.free_keys = mixed(statistics.free_keys);
  return merge;
}

HeadMerge merge_aligned_renorm(const HeadStatistics& statistics, const Members& members,
                               const MergeContext& context) {
  HeadMerge merge = merge_aligned_mean(statistics, members, context);
  scale_to_members(statistics, members, merge);
  return merge;
}

}  // namespace regroup::convert
