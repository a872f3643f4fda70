// What the sources of row kernels share: clones for instruction sets, bfloat16 as its bits, exp. For those
// files alone, which are compiled for loops to be vectorized (core/CMakeLists.txt).
#pragma once

#include <bit>
#include <cstdint>
#include <type_traits>

#include "core/model/kernels.h"

// One clone a level of x86-64, picked by the loader. Others compile for what they are.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define REGROUP_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define REGROUP_CLONES
#endif
#define REGROUP_INLINE [[gnu::always_inline]] static inline

namespace regroup::model::kernels {

REGROUP_INLINE float widen(Bf16 x) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(x) << 16);
}

REGROUP_INLINE float widen(float x) {
  return x;
}

// To nearest, ties to even. The NaNs that x86 arithmetic makes stay NaNs; payloads are not kept.
REGROUP_INLINE Bf16 narrow(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  return static_cast<Bf16>((bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16);
}

template <typename Element>
REGROUP_INLINE Element rounded(float x) {
  if constexpr (std::is_same_v<Element, Bf16>)
    return narrow(x);
  else
    return x;
}

REGROUP_INLINE std::uint32_t pair(Bf16 low, Bf16 high) {
  return static_cast<std::uint32_t>(low) | static_cast<std::uint32_t>(high) << 16;
}

// exp(x) to 2 ulp within +-87; 0 below, where it would be subnormal, and exp(87) above. 2^n · e^r with r
// within ln2 / 2, polynomial and split of ln 2 as in Cephes' expf.
REGROUP_INLINE float exponential(float x) {
  constexpr float kLog2E = 1.44269504088896341f, kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;
  constexpr float kRound = 12582912.f;  // 1.5 · 2^23: adding it leaves the nearest integer in the low bits
  constexpr float kMost = 87.f;
  const float below = x > kMost ? kMost : x;
  const float clamped = below < -kMost ? -kMost : below;
  const float shifted = clamped * kLog2E + kRound;
  const float n = shifted - kRound;
  const float r = (clamped - n * kLn2High) - n * kLn2Low;
  float poly = 1.9875691500e-4f;
  poly = poly * r + 1.3981999507e-3f;
  poly = poly * r + 8.3334519073e-3f;
  poly = poly * r + 4.1665795894e-2f;
  poly = poly * r + 1.6666665459e-1f;
  poly = poly * r + 5.0000001201e-1f;
  const float power = poly * r * r + r + 1.f;
  const std::uint32_t exponent =
      (std::bit_cast<std::uint32_t>(shifted) - std::bit_cast<std::uint32_t>(kRound) + 127U) << 23;
  const float value = power * std::bit_cast<float>(exponent);
  return x < -kMost ? 0.f : value;
}

}  // namespace regroup::model::kernels
