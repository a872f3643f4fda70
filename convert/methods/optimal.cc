// The least-squares merge, in closed form.
//
// Keys. With phases of queries and keys independent, the logit error of member i at pair f is
// energy_i,f E|k_i,f - b_i,f k_g,f|²; its minimum over all b and k_g is the best rank-1 approximation of
// sqrt(energy_i) k_i over members: u the leading eigenvector of the weighted moments
// sqrt(energy_i energy_j) E[k_i conj(k_j)], k_g = sum_i conj(u_i) sqrt(energy_i) k_i, b_i = u_i /
// sqrt(energy_i).
//
// Values, and keys that positions leave alone. sum_i E‖R_i (v_i - A_i v_g)‖² is the best rank-D approximation
// of the stacked R_i v_i: U its leading eigenvectors, v_g = sum_i U_i^T R_i v_i, A_i = R_i^-1 U_i (a weighted
// singular value decomposition, as for low-rank caches in Yu et al. 2024, arXiv 2406.07056, but absorbed in
// the projections).
//
// Both are defined up to what leaves the model as it is; of these the head is chosen that lies like its
// members do: turned so that views point to 1, scaled to the members' size.
#include "convert/methods/methods.h"

namespace regroup::convert {
namespace {

at::Tensor weighted_keys(const HeadStatistics& statistics, const Members& members) {
  const at::Tensor weight_CS = statistics.energy_CK.index_select(1, at::tensor(members, at::kLong)).sqrt();
  return key_block(statistics, members) * (weight_CS.unsqueeze(2) * weight_CS.unsqueeze(1));
}

// The moments of the stacked R_i x_i, [S·E, S·E].
at::Tensor weighted_mixed(const MixedMoments& mixed, const Members& members) {
  const at::Tensor roots_SEE = mixed.root_KEE.index_select(0, at::tensor(members, at::kLong));
  const auto size = static_cast<std::int64_t>(members.size()), width = mixed.width();
  // R_i P_ij, then (R_i P_ij) R_j^T.
  const at::Tensor left =
      at::matmul(roots_SEE, mixed_block(mixed, members).reshape({size, width, size * width}));
  const at::Tensor both = at::matmul(
      left.view({size, width, size, width}).permute({2, 0, 1, 3}).reshape({size, size * width, width}),
      roots_SEE.transpose(1, 2));
  const at::Tensor moments = both.permute({1, 0, 2}).reshape({size * width, size * width});
  return (moments + moments.t()) / 2;
}

void merge_keys(const HeadStatistics& statistics, const Members& members, HeadMerge& merge) {
  const at::Tensor vectors_CSS = std::get<1>(at::linalg_eigh(weighted_keys(statistics, members), "L"));
  const at::Tensor leading_SC = vectors_CSS.select(2, vectors_CSS.size(2) - 1).t();
  const at::Tensor weight_SC =
      statistics.energy_CK.index_select(1, at::tensor(members, at::kLong)).sqrt().t();
  const at::Tensor view_SC = leading_SC / weight_SC;
  const at::Tensor sum_C = view_SC.sum(0);
  const at::Tensor turn_C = at::sgn(sum_C) + at::eq(sum_C, 0);
  merge.key_view_SC = view_SC * turn_C.conj();
  merge.key_mix_SC = leading_SC.conj() * weight_SC * turn_C;
}

MixedMaps merge_mixed(const MixedMoments& mixed, const Members& members) {
  const auto size = static_cast<std::int64_t>(members.size()), width = mixed.width();
  const at::Tensor index = at::tensor(members, at::kLong);
  const at::Tensor vectors = std::get<1>(at::linalg_eigh(weighted_mixed(mixed, members), "L"));
  const at::Tensor leading_SEE = vectors.narrow(1, (size - 1) * width, width).reshape({size, width, width});
  const at::Tensor view_SEE = at::matmul(mixed.inverse_KEE.index_select(0, index), leading_SEE);
  // The orthogonal map that brings the members' views nearest to 1 together.
  const auto [left, singular, right] = at::linalg_svd(view_SEE.sum(0), /*full_matrices=*/true);
  const at::Tensor turn_EE = at::matmul(left, right);
  return {.mix_SEE = at::matmul(
              turn_EE, at::matmul(leading_SEE.transpose(1, 2), mixed.root_KEE.index_select(0, index))),
          .view_SEE = at::matmul(view_SEE, turn_EE.t())};
}

// What the least-squares merge leaves: the eigenvalues that do not lead.
double mixed_rest(const MixedMoments& mixed, const Members& members) {
  const at::Tensor values = at::linalg_eigvalsh(weighted_mixed(mixed, members), "L");
  return values.narrow(0, 0, values.size(0) - mixed.width()).sum().item<double>();
}

}  // namespace

HeadMerge merge_optimal(const HeadStatistics& statistics, const Members& members, const MergeContext&) {
  HeadMerge merge;
  if (statistics.keys_are_normed) {
    merge_normed_keys(statistics, members, merge);
  } else {
    merge_keys(statistics, members, merge);
    if (!statistics.free_keys.empty()) merge.free_keys = merge_mixed(statistics.free_keys, members);
  }
  merge.values = merge_mixed(statistics.values, members);
  balance(statistics, members, merge);
  return merge;
}

MergeError optimal_error(const HeadStatistics& statistics, const Members& members) {
  const at::Tensor keys_CS = at::linalg_eigvalsh(weighted_keys(statistics, members), "L");
  double lost_keys = keys_CS.narrow(1, 0, keys_CS.size(1) - 1).sum().item<double>();
  if (!statistics.free_keys.empty()) lost_keys += mixed_rest(statistics.free_keys, members);
  return {.keys = in_units_of(statistics.key_scale(), lost_keys),
          .values = in_units_of(statistics.value_scale(), mixed_rest(statistics.values, members))};
}

}  // namespace regroup::convert
