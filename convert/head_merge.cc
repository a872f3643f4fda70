#include "convert/head_merge.h"

#include <optional>

#include "core/base/error.h"

namespace regroup::convert {
namespace {

at::Tensor index_of(const Members& members) {
  return at::tensor(members, at::kLong);
}

// The factors a mix is made of, if it multiplies every member by a single real number: [S].
std::optional<at::Tensor> pair_factors(const at::Tensor& mix_SC) {
  const at::Tensor first_S1 = mix_SC.narrow(1, 0, 1);
  if (!at::imag(mix_SC).eq(0).all().item<bool>() || !mix_SC.eq(first_S1).all().item<bool>()) return {};
  return at::real(first_S1).squeeze(1);
}

std::optional<at::Tensor> mixed_factors(const at::Tensor& mix_SEE) {
  const at::Tensor first_S11 = mix_SEE.narrow(1, 0, 1).narrow(2, 0, 1);
  const at::Tensor scaled = first_S11 * at::eye(mix_SEE.size(1), mix_SEE.options());
  if (!mix_SEE.eq(scaled).all().item<bool>()) return {};
  return first_S11.flatten();
}

// The same of whole heads, turned and free coordinates alike.
std::optional<at::Tensor> key_factors(const HeadMerge& merge) {
  const auto turned = merge.key_mix_SC.size(1) > 0 ? pair_factors(merge.key_mix_SC) : std::nullopt;
  if (!merge.free_keys.mix_SEE.defined()) return turned;
  const auto free = mixed_factors(merge.free_keys.mix_SEE);
  if (merge.key_mix_SC.size(1) == 0) return free;
  return turned && free && at::equal(*turned, *free) ? turned : std::nullopt;
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

// The coordinates of heads [.., D, N] that positions turn, and the others.
at::Tensor turned_part(const at::Tensor& heads, const HeadMerge& merge) {
  return heads.narrow(-2, 0, 2 * merge.key_mix_SC.size(1));
}
at::Tensor free_part(const at::Tensor& heads, const HeadMerge& merge) {
  const std::int64_t turned = 2 * merge.key_mix_SC.size(1);
  return heads.narrow(-2, turned, heads.size(-2) - turned);
}

at::Tensor merged_mixed(const at::Tensor& heads_SEN, const at::Tensor& mix_SEE) {
  if (const auto factors = mixed_factors(mix_SEE)) return weighted_sum(heads_SEN, *factors);
  return at::matmul(mix_SEE.to(heads_SEN.scalar_type()), heads_SEN).sum(0);
}

at::Tensor merged_key(const at::Tensor& k_SDN, const HeadMerge& merge) {
  if (const auto factors = key_factors(merge)) return weighted_sum(k_SDN, *factors);
  std::vector<at::Tensor> parts;
  if (merge.key_mix_SC.size(1) > 0) {
    const at::ScalarType complex = at::toComplexType(k_SDN.scalar_type());
    parts.push_back(
        from_pairs((as_pairs(turned_part(k_SDN, merge)) * merge.key_mix_SC.to(complex).unsqueeze(2)).sum(0)));
  }
  if (merge.free_keys.mix_SEE.defined())
    parts.push_back(merged_mixed(free_part(k_SDN, merge), merge.free_keys.mix_SEE));
  return at::cat(parts, 0);
}

// A member's map for each of its query heads.
at::Tensor by_query(const at::Tensor& maps, std::int64_t query_heads) {
  return maps.repeat_interleave(query_heads / maps.size(0), 0);
}

// The query heads of a group, [S · H/K, D, N], as they see its keys.
at::Tensor seen_by_queries(const at::Tensor& q_HDN, const HeadMerge& merge) {
  std::vector<at::Tensor> parts;
  if (merge.key_view_SC.size(1) > 0) {
    const at::ScalarType complex = at::toComplexType(q_HDN.scalar_type());
    const at::Tensor view_HC1 = by_query(merge.key_view_SC.conj().to(complex), q_HDN.size(0)).unsqueeze(2);
    parts.push_back(from_pairs(as_pairs(turned_part(q_HDN, merge)) * view_HC1));
  }
  if (merge.free_keys.view_SEE.defined()) {
    const at::Tensor view_HEE = by_query(merge.free_keys.view_SEE.to(q_HDN.scalar_type()), q_HDN.size(0));
    parts.push_back(at::matmul(view_HEE.transpose(1, 2), free_part(q_HDN, merge)));
  }
  return at::cat(parts, 1);
}

at::Tensor seen_by_output(const at::Tensor& o_MHD, const at::Tensor& view_SDD) {
  const at::Tensor view_HDD = by_query(view_SDD.to(o_MHD.scalar_type()), o_MHD.size(1));
  return at::matmul(o_MHD.transpose(0, 1), view_HDD).transpose(0, 1);
}

// sum_i E‖R_i (x_i - view_i x_g)‖².
double mixed_error(const MixedMoments& mixed, const Members& members, const MixedMaps& maps) {
  const auto size = static_cast<std::int64_t>(members.size()), width = mixed.width();
  const at::Tensor roots_SEE = mixed.root_KEE.index_select(0, index_of(members));
  const at::Tensor mix_ET = maps.mix_SEE.permute({1, 0, 2}).reshape({width, size * width});
  // [S·E, S·E]: all members' residuals, rows weighted by what reads them.
  const at::Tensor seen_SET = maps.view_SEE.defined()
                                  ? at::matmul(maps.view_SEE, mix_ET.expand({size, width, size * width}))
                                  : mix_ET.expand({size, width, size * width});
  const at::Tensor own_SET = at::eye(size * width, mix_ET.options()).view({size, width, size * width});
  const at::Tensor residual_TT = at::matmul(roots_SEE, own_SET - seen_SET).flatten(0, 1);
  const at::Tensor moments_TT = mixed_block(mixed, members).reshape({size * width, size * width});
  return (at::matmul(residual_TT, moments_TT) * residual_TT).sum().item<double>();
}

// sum_i sum_f energy_i,f E|k_i,f - view_i,f k_g,f|².
double turned_key_error(const HeadStatistics& statistics, const Members& members, const HeadMerge& merge) {
  // Residual of member i: e_i = sum_j (delta_ij - view_i mix_j) k_j, a matrix [S, S] for each pair.
  const at::Tensor mix_CS = merge.key_mix_SC.t();
  const at::Tensor view_CS = merge.key_view_SC.defined() ? merge.key_view_SC.t() : at::ones_like(mix_CS);
  const at::Tensor residual_CSS = at::eye(static_cast<std::int64_t>(members.size()), mix_CS.options()) -
                                  view_CS.unsqueeze(2) * mix_CS.unsqueeze(1);
  const at::Tensor moments_CSS = key_block(statistics, members);
  const at::Tensor square_CS = at::real((at::matmul(residual_CSS, moments_CSS) * residual_CSS.conj()).sum(2));
  return (square_CS * statistics.energy_CK.index_select(1, index_of(members))).sum().item<double>();
}

}  // namespace

at::Tensor key_block(const HeadStatistics& statistics, const Members& members) {
  const at::Tensor index = index_of(members);
  return statistics.keys_CKK.index_select(1, index).index_select(2, index);
}

at::Tensor mixed_block(const MixedMoments& mixed, const Members& members) {
  const at::Tensor index = index_of(members);
  return mixed.moments_KEKE.index_select(0, index).index_select(2, index);
}

double in_units_of(double scale, double error) {
  return scale > 0 ? error / scale : error;
}

MergeError merge_error(const HeadStatistics& statistics, const Members& members, const HeadMerge& merge) {
  double keys = turned_key_error(statistics, members, merge);
  if (!statistics.free_keys.empty()) keys += mixed_error(statistics.free_keys, members, merge.free_keys);
  return {
      .keys = in_units_of(statistics.key_scale(), keys),
      .values = in_units_of(statistics.value_scale(), mixed_error(statistics.values, members, merge.values))};
}

AttentionLayer apply(const AttentionLayer& layer, const Grouping& grouping,
                     const std::vector<HeadMerge>& merges) {
  AttentionLayer merged = permuted(layer, order_of(grouping));
  const auto size = static_cast<std::int64_t>(grouping.front().size());
  std::vector<at::Tensor> keys, values, key_norms;
  for (std::size_t g = 0; g < grouping.size(); ++g) {
    const std::int64_t first = static_cast<std::int64_t>(g) * size;
    const HeadMerge& merge = merges[g];
    keys.push_back(merged_key(merged.k_KDN.narrow(0, first, size), merge));
    values.push_back(merged_mixed(merged.v_KDN.narrow(0, first, size), merge.values.mix_SEE));
    if (merged.k_norm_KD.defined()) {
      const auto factors = key_factors(merge);
      check(factors.has_value(), "normed keys are merged by numbers");
      key_norms.push_back(
          weighted_sum(merged.k_norm_KD.narrow(0, first, size).unsqueeze(2), *factors / factors->sum())
              .squeeze(1));
    }
    if (merge.key_view_SC.defined()) {
      const at::Tensor q = merged.q_HDN.narrow(0, first * layer.group(), size * layer.group());
      q.copy_(seen_by_queries(q, merge));
    }
    if (merge.values.view_SEE.defined()) {
      const at::Tensor o = merged.o_MHD.narrow(1, first * layer.group(), size * layer.group());
      o.copy_(seen_by_output(o, merge.values.view_SEE));
    }
  }
  merged.k_KDN = at::stack(keys);
  merged.v_KDN = at::stack(values);
  if (!key_norms.empty()) merged.k_norm_KD = at::stack(key_norms);
  return merged;
}

}  // namespace regroup::convert
