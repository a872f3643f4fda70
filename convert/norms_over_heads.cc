#include "convert/norms_over_heads.h"

#include <cmath>

namespace regroup::convert {
namespace {

// sqrt(E[x^T W^T W x] / rows).
double size_of(const at::Tensor& heads_HDN, const InputMoments* moments) {
  const at::Tensor rows = heads_HDN.to(at::kDouble).flatten(0, 1);
  const at::Tensor seen = moments == nullptr           ? rows
                          : moments->values.dim() == 1 ? rows * moments->values
                                                       : at::matmul(rows, moments->values);
  return std::sqrt((seen * rows).sum().item<double>() / static_cast<double>(rows.size(0)));
}

// `part` / `whole`, or 1 where that is nothing: heads of zeros keep their norms' weights.
double ratio(double part, double whole) {
  return whole > 0 ? part / whole : 1;
}

// Divides heads by the norm weights that their rows get, and returns these.
at::Tensor taken_out(const at::Tensor& source_HDN, const at::Tensor& source_norm_HD,
                     const InputMoments* moments, at::Tensor& merged_KDN) {
  const std::int64_t heads = merged_KDN.size(0), group = source_norm_HD.size(0) / heads;
  const at::Tensor members_KSD = source_norm_HD.unflatten(0, {heads, group});
  const at::Tensor mean_KD = members_KSD.mean(1), size_KD = members_KSD.square().mean(1).sqrt();
  const at::Tensor floor = size_KD.max() * 1e-3;
  const at::Tensor weight_KD =
      at::where(mean_KD.abs() > 0.1 * at::maximum(size_KD, floor), mean_KD, at::maximum(size_KD, floor));
  merged_KDN = merged_KDN / weight_KD.unsqueeze(2);
  return weight_KD * ratio(size_of(merged_KDN, moments), size_of(source_HDN, moments));
}

}  // namespace

AttentionLayer with_norms_taken_in(const AttentionLayer& source, bool queries) {
  AttentionLayer layer = source;
  layer.k_KDN = source.k_KDN * source.k_norm_KD.unsqueeze(2);
  layer.k_norm_KD = at::Tensor();
  if (queries) {
    layer.q_HDN = source.q_HDN * source.q_norm_HD.unsqueeze(2);
    layer.q_norm_HD = at::Tensor();
  }
  return layer;
}

void set_norms(const AttentionLayer& source, const InputMoments* moments, bool queries,
               AttentionLayer& merged) {
  merged.k_norm_KD = taken_out(source.k_KDN, source.k_norm_KD, moments, merged.k_KDN);
  if (queries) merged.q_norm_HD = taken_out(source.q_HDN, source.q_norm_HD, moments, merged.q_HDN);
}

}  // namespace regroup::convert
