#include "convert/head_similarity.h"

#include <vector>

namespace regroup::convert {
namespace {

// Of energies that are 0, nothing.
at::Tensor share(const at::Tensor& part, const at::Tensor& whole) {
  return at::where(whole > 0, part / whole, 0.0);
}

at::Tensor correlation(const at::Tensor& squared_KK) {
  return squared_KK.clamp(0, 1).sqrt();
}

// B_j with B_j B_j^T = E[v_j v_j^T]^-1 where that has an inverse; directions without energy are left out.
at::Tensor inverse_roots(const at::Tensor& moments_KDD) {
  const auto [energies_KD, vectors_KDD] = at::linalg_eigh(moments_KDD, "L");
  const at::Tensor floor_K1 = energies_KD.amax(1, true).clamp_min(0) * 1e-10;
  const at::Tensor scale_KD = at::where(energies_KD > floor_K1, energies_KD.rsqrt(), 0.0);
  return vectors_KDD * scale_KD.unsqueeze(1);
}

}  // namespace

HeadSimilarity key_similarity(const HeadStatistics& statistics) {
  const at::Tensor energy_CK1 = statistics.energy_CK.unsqueeze(2);
  const at::Tensor own_C1K = at::real(statistics.keys_CKK.diagonal(0, 1, 2)).unsqueeze(1);
  const at::Tensor seen_KK = (energy_CK1 * own_C1K).sum(0);  // E‖w_i k_j‖²
  const at::Tensor own_K1 = seen_KK.diagonal().unsqueeze(1);
  const at::Tensor inner_KK = (energy_CK1 * at::real(statistics.keys_CKK)).sum(0);
  const at::Tensor explained_CKK = share(at::real(statistics.keys_CKK * statistics.keys_CKK.conj()),
                                         own_C1K.expand_as(statistics.keys_CKK));
  return {.before_KK = correlation(share(inner_KK.square(), own_K1 * seen_KK)),
          .after_KK = correlation(share((energy_CK1 * explained_CKK).sum(0), own_K1))};
}

HeadSimilarity value_similarity(const HeadStatistics& statistics) {
  const std::int64_t heads = statistics.heads();
  const at::Tensor own_KDD = statistics.values_KDKD.diagonal(0, 0, 2).permute({2, 0, 1}).contiguous();
  const at::Tensor roots_KDD = inverse_roots(own_KDD);
  const at::Tensor weight_KDD = at::matmul(statistics.output_KDD.transpose(1, 2), statistics.output_KDD);
  const at::Tensor seen_KK = at::matmul(weight_KDD.flatten(1), own_KDD.flatten(1).t());  // E‖R_i v_j‖²
  std::vector<at::Tensor> inner_K, explained_K;
  for (std::int64_t i = 0; i < heads; ++i) {
    const at::Tensor cross_KDD = statistics.values_KDKD[i].permute({1, 0, 2});  // E[v_i v_j^T], j first
    inner_K.push_back((cross_KDD * weight_KDD[i]).sum({1, 2}));
    const at::Tensor seen_KDD = at::matmul(at::matmul(statistics.output_KDD[i], cross_KDD), roots_KDD);
    explained_K.push_back(seen_KDD.square().sum({1, 2}));
  }
  const at::Tensor own_K1 = seen_KK.diagonal().unsqueeze(1);
  return {.before_KK = correlation(share(at::stack(inner_K).square(), own_K1 * seen_KK)),
          .after_KK = correlation(share(at::stack(explained_K), own_K1.expand({heads, heads})))};
}

}  // namespace regroup::convert
