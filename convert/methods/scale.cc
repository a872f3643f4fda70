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

// E‖x‖²: [S] and a number.
Squares mixed_squares(const MixedMoments& mixed, const Members& members, const MixedMaps& maps) {
  const auto size = static_cast<std::int64_t>(members.size()), width = mixed.width();
  const at::Tensor moments_TT = mixed_block(mixed, members).reshape({size * width, size * width});
  const at::Tensor mix_ET = maps.mix_SEE.permute({1, 0, 2}).reshape({width, size * width});
  return {moments_TT.diagonal().reshape({size, width}).sum(1),
          (at::matmul(mix_ET, moments_TT) * mix_ET).sum()};
}

void balance_mixed(const MixedMoments& mixed, const Members& members, MixedMaps& maps) {
  const Squares squares = mixed_squares(mixed, members, maps);
  const at::Tensor scale = ratio(squares.members, squares.merged);
  maps.mix_SEE = maps.mix_SEE * scale;
  maps.view_SEE = maps.view_SEE / scale;
}

}  // namespace

void scale_to_members(const HeadStatistics& statistics, const Members& members, HeadMerge& merge) {
  Squares keys = key_squares(statistics, members, merge);
  at::Tensor member_squares = keys.members.sum(1), merged_square = keys.merged.sum();
  if (!statistics.free_keys.empty()) {
    const Squares free = mixed_squares(statistics.free_keys, members, merge.free_keys);
    member_squares = member_squares + free.members;
    merged_square = merged_square + free.merged;
  }
  const at::Tensor key_scale = ratio(member_squares, merged_square);
  merge.key_mix_SC = merge.key_mix_SC * key_scale;
  if (!statistics.free_keys.empty()) merge.free_keys.mix_SEE = merge.free_keys.mix_SEE * key_scale;
  const Squares values = mixed_squares(statistics.values, members, merge.values);
  merge.values.mix_SEE = merge.values.mix_SEE * ratio(values.members, values.merged);
}

void merge_normed_keys(const HeadStatistics& statistics, const Members& members, HeadMerge& merge) {
  const at::Tensor keys_CSS = key_block(statistics, members);
  at::Tensor square_S = at::real(keys_CSS.diagonal(0, 1, 2)).sum(0);
  const std::int64_t free = statistics.free_keys.empty() ? 0 : statistics.free_keys.width();
  if (free > 0) {
    const auto size = static_cast<std::int64_t>(members.size());
    const at::Tensor own = mixed_block(statistics.free_keys, members).reshape({size * free, size * free});
    square_S = square_S + own.diagonal().view({size, free}).sum(1);
  }
  const at::Tensor length_S = square_S.clamp_min(1e-30).sqrt();
  const at::Tensor share_S = length_S.mean() / length_S / static_cast<double>(members.size());
  merge.key_mix_SC =
      share_S.to(at::kComplexDouble).unsqueeze(1).expand({share_S.size(0), keys_CSS.size(0)}).contiguous();
  merge.key_view_SC = at::Tensor();
  if (free > 0)
    merge.free_keys = {.mix_SEE = share_S.view({-1, 1, 1}) * at::eye(free, at::kDouble), .view_SEE = {}};
}

void balance(const HeadStatistics& statistics, const Members& members, HeadMerge& merge) {
  balance_mixed(statistics.values, members, merge.values);
  if (statistics.keys_are_normed) return;
  const Squares keys = key_squares(statistics, members, merge);
  const at::Tensor key_scale_C = ratio(keys.members, keys.merged);
  merge.key_mix_SC = merge.key_mix_SC * key_scale_C;
  merge.key_view_SC = merge.key_view_SC / key_scale_C;
  if (!statistics.free_keys.empty()) balance_mixed(statistics.free_keys, members, merge.free_keys);
}

}  // namespace regroup::convert
