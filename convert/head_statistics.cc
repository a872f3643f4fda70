#include "convert/head_statistics.h"

#include <algorithm>

namespace regroup::convert {
namespace {

// rows · C
at::Tensor times(const at::Tensor& rows, const InputMoments& moments) {
  return moments.values.dim() == 1 ? rows * moments.values : at::matmul(rows, moments.values);
}

// The right singular form of the output columns of every key/value head, [K, D, D]: any R with R^T R = W^T W
// serves as the root of the output's weight, and this one inverts without loss.
void set_output_roots(const AttentionLayer& layer, HeadStatistics& statistics) {
  const std::int64_t kv_heads = layer.kv_heads(), head_dim = layer.head_dim();
  // [M, H, D] -> [K, H/K · M, D]: the query heads of a key/value head stacked.
  const at::Tensor stacked = layer.o_MHD.to(at::kDouble)
                                 .permute({1, 0, 2})
                                 .reshape({kv_heads, layer.group() * layer.o_MHD.size(0), head_dim});
  const at::Tensor triangle = std::get<1>(at::linalg_qr(stacked, "r"));
  const auto [left, singular_KD, right_KDD] = at::linalg_svd(triangle, /*full_matrices=*/true);
  const double largest = singular_KD.max().item<double>();
  const at::Tensor floor_K1 = singular_KD.amax(1, true).clamp_min(std::max(1e-8 * largest, 1e-30)) * 1e-4;
  const at::Tensor floored_KD = at::maximum(singular_KD, floor_K1);
  statistics.output_KDD = floored_KD.unsqueeze(2) * right_KDD;
  statistics.output_inverse = right_KDD.transpose(1, 2) / floored_KD.unsqueeze(1);
}

}  // namespace

InputMoments moments_of_norm(const at::Tensor& norm_weight_M, bool with_bias) {
  at::Tensor diagonal = norm_weight_M.to(at::kDouble).square();
  if (with_bias) diagonal = at::cat({diagonal, at::ones({1}, at::kDouble)});
  return {diagonal};
}

at::Tensor as_pairs(const at::Tensor& heads) {
  const std::int64_t pairs = heads.size(-2) / 2;
  return at::complex(heads.narrow(-2, 0, pairs), heads.narrow(-2, pairs, pairs));
}

at::Tensor from_pairs(const at::Tensor& pairs) {
  return at::cat({at::real(pairs), at::imag(pairs)}, -2);
}

HeadStatistics head_statistics(const AttentionLayer& layer, const InputMoments& moments) {
  HeadStatistics statistics;
  {
    const at::Tensor k_KDN = layer.k_KDN.to(at::kDouble);
    const at::Tensor one_CKN = as_pairs(times(k_KDN, moments)).transpose(0, 1);
    statistics.keys_CKK = at::matmul(one_CKN, as_pairs(k_KDN).permute({1, 2, 0}).conj());
  }
  {
    const at::Tensor q_HDN = layer.q_HDN.to(at::kDouble);
    const at::Tensor square_HD = (times(q_HDN, moments) * q_HDN).sum(2);
    const auto halves = square_HD.unflatten(1, {2, -1}).sum(1);  // [H, C]
    const at::Tensor energy_CK = halves.unflatten(0, {layer.kv_heads(), layer.group()}).sum(1).t();
    const double largest = energy_CK.max().item<double>();
    statistics.energy_CK = energy_CK.clamp_min(std::max(1e-8 * largest, 1e-30)).contiguous();
  }
  {
    const at::Tensor v_RN = layer.v_KDN.to(at::kDouble).flatten(0, 1);
    const std::int64_t heads = layer.kv_heads(), dim = layer.head_dim();
    statistics.values_KDKD = at::matmul(times(v_RN, moments), v_RN.t()).view({heads, dim, heads, dim});
  }
  set_output_roots(layer, statistics);
  return statistics;
}

double HeadStatistics::key_scale() const {
  const at::Tensor own_CK = at::real(keys_CKK.diagonal(0, 1, 2));
  return (own_CK * energy_CK).sum().item<double>();
}

double HeadStatistics::value_scale() const {
  const at::Tensor own_KDD = values_KDKD.diagonal(0, 0, 2).permute({2, 0, 1});  // [K, D, D]
  return (at::matmul(output_KDD, own_KDD) * output_KDD).sum().item<double>();
}

}  // namespace regroup::convert
