#include "convert/head_merge.h"

#include <optional>

namespace regroup::convert {
namespace {

at::Tensor index_of(const Members& members) {
  return at::tensor(members, at::kLong);
}

// The factors a mix is made of, if it multiplies every member by a single real number: [S].
std::optional<at::Tensor> key_factors(const at::Tensor& mix_SC) {
  const at::Tensor first_S1 = mix_SC.narrow(1, 0, 1);
  if (!at::imag(mix_SC).eq(0).all().item<bool>() || !mix_SC.eq(first_S1).all().item<bool>()) return {};
  return at::real(first_S1).squeeze(1);
}

std::optional<at::Tensor> value_factors(const at::Tensor& mix_SDD) {
  const at::Tensor first_S11 = mix_SDD.narrow(1, 0, 1).narrow(2, 0, 1);
  const at::Tensor scaled = first_S11 * at::eye(mix_SDD.size(1), mix_SDD.options());
  if (!mix_SDD.eq(scaled).all().item<bool>()) return {};
  return first_S11.flatten();
}

// sum_i factor_i · heads_i in the heads' type; members with factor 0 leave no trace, not even a zero's sign.
at::Tensor weighted_sum(const at::Tensor& heads_SDN, const at::Tensor& factors_S) {
  std::vector<std::int64_t> used;
  for (std::int64_t i = 0; i < factors_S.size(0); ++i)
    if (factors_S[i].item<double>() != 0) used.push_back(i);
  const at::Tensor factors = factors_S.index_select(0, index_of(used));
  const at::Tensor heads = heads_SDN.index_select(0, index_of(used));
  if (factors.eq(factors[0]).all().item<bool>())
    return heads.size(0) == 1 && factors[0].item<double>() == 1 ? heads[0]
                                                                : heads.sum(0) * factors[0].item<double>();
  return (heads * factors.to(heads.scalar_type()).view({-1, 1, 1})).sum(0);
}

at::Tensor merged_key(const at::Tensor& k_SDN, const at::Tensor& mix_SC) {
  if (const auto factors = key_factors(mix_SC)) return weighted_sum(k_SDN, *factors);
  const at::ScalarType complex = at::toComplexType(k_SDN.scalar_type());
  return from_pairs((as_pairs(k_SDN) * mix_SC.to(complex).unsqueeze(2)).sum(0));
}

at::Tensor merged_value(const at::Tensor& v_SDN, const at::Tensor& mix_SDD) {
  if (const auto factors = value_factors(mix_SDD)) return weighted_sum(v_SDN, *factors);
  return at::matmul(mix_SDD.to(v_SDN.scalar_type()), v_SDN).sum(0);
}

// conj(view) · q for the query heads of a group, [S · H/K, D, N].
at::Tensor seen_by_queries(const at::Tensor& q_HDN, const at::Tensor& view_SC) {
  const at::ScalarType complex = at::toComplexType(q_HDN.scalar_type());
  const at::Tensor view_HC1 =
      view_SC.conj().to(complex).repeat_interleave(q_HDN.size(0) / view_SC.size(0), 0).unsqueeze(2);
  return from_pairs(as_pairs(q_HDN) * view_HC1);
}

at::Tensor seen_by_output(const at::Tensor& o_MHD, const at::Tensor& view_SDD) {
  const at::Tensor view_HDD =
      view_SDD.to(o_MHD.scalar_type()).repeat_interleave(o_MHD.size(1) / view_SDD.size(0), 0);
  return at::matmul(o_MHD.transpose(0, 1), view_HDD).transpose(0, 1);
}

}  // namespace

at::Tensor key_block(const HeadStatistics& statistics, const Members& members) {
  const at::Tensor index = index_of(members);
  return statistics.keys_CKK.index_select(1, index).index_select(2, index);
}

at::Tensor value_block(const HeadStatistics& statistics, const Members& members) {
  const at::Tensor index = index_of(members);
  return statistics.values_KDKD.index_select(0, index).index_select(2, index);
}

MergeError merge_error(const HeadStatistics& statistics, const Members& members, const HeadMerge& merge) {
  const at::Tensor index = index_of(members);
  const auto size = static_cast<std::int64_t>(members.size()), dim = statistics.head_dim();
  MergeError error;
  {
    // Residual of member i: e_i = sum_j (delta_ij - view_i mix_j) k_j, a matrix [S, S] for each pair.
    const at::Tensor mix_CS = merge.key_mix_SC.t();
    const at::Tensor view_CS = merge.key_view_SC.defined() ? merge.key_view_SC.t() : at::ones_like(mix_CS);
    const at::Tensor residual_CSS =
        at::eye(size, mix_CS.options()) - view_CS.unsqueeze(2) * mix_CS.unsqueeze(1);
    const at::Tensor moments_CSS = key_block(statistics, members);
    const at::Tensor square_CS =
        at::real((at::matmul(residual_CSS, moments_CSS) * residual_CSS.conj()).sum(2));
    error.keys = (square_CS * statistics.energy_CK.index_select(1, index)).sum().item<double>() /
                 statistics.key_scale();
  }
  {
    const at::Tensor roots_SDD = statistics.output_KDD.index_select(0, index);
    const at::Tensor mix_DT = merge.value_mix_SDD.permute({1, 0, 2}).reshape({dim, size * dim});
    // [S·D, S·D]: all members' residuals, rows weighted by the output.
    const at::Tensor seen_SDT = merge.value_view_SDD.defined()
                                    ? at::matmul(merge.value_view_SDD, mix_DT.expand({size, dim, size * dim}))
                                    : mix_DT.expand({size, dim, size * dim});
    const at::Tensor own_SDT = at::eye(size * dim, mix_DT.options()).view({size, dim, size * dim});
    const at::Tensor residual_TT = at::matmul(roots_SDD, own_SDT - seen_SDT).flatten(0, 1);
    const at::Tensor moments_TT = value_block(statistics, members).reshape({size * dim, size * dim});
    error.values =
        (at::matmul(residual_TT, moments_TT) * residual_TT).sum().item<double>() / statistics.value_scale();
  }
  return error;
}

AttentionLayer apply(const AttentionLayer& layer, const Grouping& grouping,
                     const std::vector<HeadMerge>& merges) {
  Members order;
  for (const Members& members : grouping) order.insert(order.end(), members.begin(), members.end());
  AttentionLayer merged = permuted(layer, order);
  const auto size = static_cast<std::int64_t>(grouping.front().size());
  std::vector<at::Tensor> keys, values;
  for (std::size_t g = 0; g < grouping.size(); ++g) {
    const std::int64_t first = static_cast<std::int64_t>(g) * size;
    const HeadMerge& merge = merges[g];
    keys.push_back(merged_key(merged.k_KDN.narrow(0, first, size), merge.key_mix_SC));
    values.push_back(merged_value(merged.v_KDN.narrow(0, first, size), merge.value_mix_SDD));
    if (merge.key_view_SC.defined()) {
      const at::Tensor q = merged.q_HDN.narrow(0, first * layer.group(), size * layer.group());
      q.copy_(seen_by_queries(q, merge.key_view_SC));
    }
    if (merge.value_view_SDD.defined()) {
      const at::Tensor o = merged.o_MHD.narrow(1, first * layer.group(), size * layer.group());
      o.copy_(seen_by_output(o, merge.value_view_SDD));
    }
  }
  merged.k_KDN = at::stack(keys);
  merged.v_KDN = at::stack(values);
  return merged;
}

}  // namespace regroup::convert
