#include "convert/methods/methods.h"

namespace regroup::convert {
namespace {

// The mean of the members' root mean squares, first dimension members, over that of the merged head; 1 where
// one of them has vanished.
at::Tensor ratio(const at::Tensor& member_squares, const at::Tensor& merged_squares) {
  const at::Tensor wanted = member_squares.clamp_min(0).sqrt().mean(0),
                   merged = merged_squares.clamp_min(0).sqrt();
  return at::where(merged > 1e-12 * wanted, wanted / merged, 1.0);
}

struct Squares {
  at::Tensor members, merged;
};

// E|k_f|² by pair: [S, C] and [C].
Squares key_squares(const HeadStatistics& statistics, const Members& members, const HeadMerge& merge) {
  const at::Tensor keys_CSS = key_block(statistics, members), mix_CS = merge.key_mix_SC.t();
  const at::Tensor merged_CS = at::matmul(mix_CS.unsqueeze(1), keys_CSS).squeeze(1) * mix_CS.conj();
  return {at::real(keys_CSS.diagonal(0, 1, 2)).t(), at::real(merged_CS.sum(1))};
}

// E‖v‖²: [S] and a number.
Squares value_squares(const HeadStatistics& statistics, const Members& members, const HeadMerge& merge) {
  const auto size = static_cast<std::int64_t>(members.size()), dim = statistics.head_dim();
  const at::Tensor values_TT = value_block(statistics, members).reshape({size * dim, size * dim});
  const at::Tensor mix_DT = merge.value_mix_SDD.permute({1, 0, 2}).reshape({dim, size * dim});
  return {values_TT.diagonal().reshape({size, dim}).sum(1), (at::matmul(mix_DT, values_TT) * mix_DT).sum()};
}

}  // namespace

void scale_to_members(const HeadStatistics& statistics, const Members& members, HeadMerge& merge) {
  const Squares keys = key_squares(statistics, members, merge);
  merge.key_mix_SC = merge.key_mix_SC * ratio(keys.members.sum(1), keys.merged.sum());
  const Squares values = value_squares(statistics, members, merge);
  merge.value_mix_SDD = merge.value_mix_SDD * ratio(values.members, values.merged);
}

void balance(const HeadStatistics& statistics, const Members& members, HeadMerge& merge) {
  const Squares keys = key_squares(statistics, members, merge);
  const at::Tensor key_scale_C = ratio(keys.members, keys.merged);
  merge.key_mix_SC = merge.key_mix_SC * key_scale_C;
  merge.key_view_SC = merge.key_view_SC / key_scale_C;
  const Squares values = value_squares(statistics, members, merge);
  const at::Tensor value_scale = ratio(values.members, values.merged);
  merge.value_mix_SDD = merge.value_mix_SDD * value_scale;
  merge.value_view_SDD = merge.value_view_SDD / value_scale;
}

}  // namespace regroup::convert
