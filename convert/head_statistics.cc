#include "convert/head_statistics.h"

#include <algorithm>

namespace regroup::convert {
namespace {

// rows · C
at::Tensor times(const at::Tensor& rows, const InputMoments& moments) {
  return moments.values.dim() == 1 ? rows * moments.values : at::matmul(rows, moments.values);
}

// R with R^T R given by its singular values and right singular vectors; the values are floored at 1e-4 of a
// head's largest, so that R has an inverse.
void set_roots(const at::Tensor& singular_KE, const at::Tensor& right_KEE, MixedMoments& mixed) {
  const double largest = singular_KE.max().item<double>();
  const at::Tensor floor_K1 = singular_KE.amax(1, true).clamp_min(std::max(1e-8 * largest, 1e-30)) * 1e-4;
  const at::Tensor floored_KE = at::maximum(singular_KE, floor_K1);
  mixed.root_KEE = floored_KE.unsqueeze(2) * right_KEE;
  mixed.inverse_KEE = right_KEE.transpose(1, 2) / floored_KE.unsqueeze(1);
}

at::Tensor cross_moments(const at::Tensor& heads_KEN, const InputMoments& moments) {
  const at::Tensor rows_RN = heads_KEN.flatten(0, 1);
  const std::int64_t heads = heads_KEN.size(0), width = heads_KEN.size(1);
  return at::matmul(times(rows_RN, moments), rows_RN.t()).view({heads, width, heads, width});
}

// The right singular form of the output columns of every key/value head: any R with R^T R = W^T W serves as
// the root of the output's weight, and this one inverts without loss.
MixedMoments value_moments(const AttentionLayer& layer, const InputMoments& moments) {
  MixedMoments values{
      .moments_KEKE = cross_moments(layer.v_KDN.to(at::kDouble), moments), .root_KEE = {}, .inverse_KEE = {}};
  const std::int64_t kv_heads = layer.kv_heads(), head_dim = layer.head_dim();
  // [M, H, D] -> [K, H/K · M, D]: the query heads of a key/value head stacked.
  const at::Tensor stacked = layer.o_MHD.to(at::kDouble)
                                 .permute({1, 0, 2})
                                 .reshape({kv_heads, layer.group() * layer.o_MHD.size(0), head_dim});
  const at::Tensor triangle = std::get<1>(at::linalg_qr(stacked, "r"));
  const auto [left, singular_KD, right_KDD] = at::linalg_svd(triangle, /*full_matrices=*/true);
  set_roots(singular_KD, right_KDD, values);
  return values;
}

// The coordinates that positions leave alone; queries weigh them by their own moments.
MixedMoments free_key_moments(const AttentionLayer& layer, const InputMoments& moments) {
  const std::int64_t width = layer.head_dim() - layer.rotary_dims;
  if (width == 0) return {};
  const auto free_part = [&](const at::Tensor& heads) {
    return heads.narrow(1, layer.rotary_dims, width).to(at::kDouble);
  };
  MixedMoments keys{
      .moments_KEKE = cross_moments(free_part(layer.k_KDN), moments), .root_KEE = {}, .inverse_KEE = {}};
  const at::Tensor q_HEN = free_part(layer.q_HDN);
  const at::Tensor seen_KEE = at::matmul(times(q_HEN, moments), q_HEN.transpose(1, 2))
                                  .unflatten(0, {layer.kv_heads(), layer.group()})
                                  .sum(1);
  const auto [energy_KE, vectors_KEE] = at::linalg_eigh(seen_KEE, "L");
  set_roots(energy_KE.clamp_min(0).sqrt(), vectors_KEE.transpose(1, 2), keys);
  return keys;
}

}  // namespace

InputMoments moments_of_norm(const at::Tensor& weight_M, const at::Tensor& bias_M, bool with_bias_column,
                             std::int64_t hidden) {
  const at::Tensor square_M =
      weight_M.defined() ? weight_M.to(at::kDouble).square() : at::ones({hidden}, at::kDouble);
  const at::Tensor one = at::ones({1}, at::kDouble);
  if (!bias_M.defined()) return {with_bias_column ? at::cat({square_M, one}) : square_M};
  const at::Tensor mean_M = bias_M.to(at::kDouble);
  if (!with_bias_column) return {at::diag(square_M) + at::outer(mean_M, mean_M)};
  const at::Tensor mean_N = at::cat({mean_M, one});
  return {at::diag(at::cat({square_M, at::zeros({1}, at::kDouble)})) + at::outer(mean_N, mean_N)};
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
    const at::Tensor k_KRN = layer.k_KDN.narrow(1, 0, layer.rotary_dims).to(at::kDouble);
    const at::Tensor one_CKN = as_pairs(times(k_KRN, moments)).transpose(0, 1);
    statistics.keys_CKK = at::matmul(one_CKN, as_pairs(k_KRN).permute({1, 2, 0}).conj());
  }
  {
    const at::Tensor q_HRN = layer.q_HDN.narrow(1, 0, layer.rotary_dims).to(at::kDouble);
    const at::Tensor square_HR = (times(q_HRN, moments) * q_HRN).sum(2);
    const at::Tensor halves_HC = square_HR.view({square_HR.size(0), 2, layer.rotary_dims / 2}).sum(1);
    const at::Tensor energy_CK = halves_HC.unflatten(0, {layer.kv_heads(), layer.group()}).sum(1).t();
    const double largest = energy_CK.numel() > 0 ? energy_CK.max().item<double>() : 0;
    statistics.energy_CK = energy_CK.clamp_min(std::max(1e-8 * largest, 1e-30)).contiguous();
  }
  statistics.free_keys = free_key_moments(layer, moments);
  statistics.values = value_moments(layer, moments);
  statistics.keys_are_normed = layer.qk_norm == family::QkNorm::kLayerOfHead;
  return statistics;
}

double MixedMoments::scale() const {
  const at::Tensor own_KEE = moments_KEKE.diagonal(0, 0, 2).permute({2, 0, 1});
  return (at::matmul(root_KEE, own_KEE) * root_KEE).sum().item<double>();
}

double HeadStatistics::key_scale() const {
  const at::Tensor own_CK = at::real(keys_CKK.diagonal(0, 1, 2));
  return (own_CK * energy_CK).sum().item<double>() + (free_keys.empty() ? 0 : free_keys.scale());
}

}  // namespace regroup::convert
