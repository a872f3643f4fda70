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

// Of coordinates h of heads, whose readers weigh them by w: E<w_i h_i, w_i h_j>, E‖w_i h_j‖², and how much of
// E‖w_i h_i‖² the best image of h_j has. Sums over kinds of coordinates.
struct Shared {
  at::Tensor inner_KK, seen_KK, explained_KK;
};

Shared turned_keys(const HeadStatistics& statistics) {
  const at::Tensor energy_CK1 = statistics.energy_CK.unsqueeze(2);
  const at::Tensor own_C1K = at::real(statistics.keys_CKK.diagonal(0, 1, 2)).unsqueeze(1);
  const at::Tensor explained_CKK = share(at::real(statistics.keys_CKK * statistics.keys_CKK.conj()),
                                         own_C1K.expand_as(statistics.keys_CKK));
  return {.inner_KK = (energy_CK1 * at::real(statistics.keys_CKK)).sum(0),
          .seen_KK = (energy_CK1 * own_C1K).sum(0),
          .explained_KK = (energy_CK1 * explained_CKK).sum(0)};
}

Shared mixed(const MixedMoments& moments) {
  const at::Tensor own_KEE = moments.moments_KEKE.diagonal(0, 0, 2).permute({2, 0, 1}).contiguous();
  const at::Tensor roots_KEE = inverse_roots(own_KEE);
  const at::Tensor weight_KEE = at::matmul(moments.root_KEE.transpose(1, 2), moments.root_KEE);
  std::vector<at::Tensor> inner_K, explained_K;
  for (std::int64_t i = 0; i < own_KEE.size(0); ++i) {
    const at::Tensor cross_KEE = moments.moments_KEKE[i].permute({1, 0, 2});  // E[x_i x_j^T], j first
    inner_K.push_back((cross_KEE * weight_KEE[i]).sum({1, 2}));
    const at::Tensor seen_KEE = at::matmul(at::matmul(moments.root_KEE[i], cross_KEE), roots_KEE);
    explained_K.push_back(seen_KEE.square().sum({1, 2}));
  }
  return {.inner_KK = at::stack(inner_K),
          .seen_KK = at::matmul(weight_KEE.flatten(1), own_KEE.flatten(1).t()),
          .explained_KK = at::stack(explained_K)};
}

HeadSimilarity similarity(const Shared& shared) {
  const at::Tensor own_K1 = shared.seen_KK.diagonal().unsqueeze(1);
  return {.before_KK = correlation(share(shared.inner_KK.square(), own_K1 * shared.seen_KK)),
          .after_KK = correlation(share(shared.explained_KK, own_K1.expand_as(shared.explained_KK)))};
}

}  // namespace

HeadSimilarity key_similarity(const HeadStatistics& statistics) {
  Shared shared = turned_keys(statistics);
  if (!statistics.free_keys.empty()) {
    const Shared free = mixed(statistics.free_keys);
    shared = {shared.inner_KK + free.inner_KK, shared.seen_KK + free.seen_KK,
              shared.explained_KK + free.explained_KK};
  }
  return similarity(shared);
}

HeadSimilarity value_similarity(const HeadStatistics& statistics) {
  return similarity(mixed(statistics.values));
}

}  // namespace regroup::convert
