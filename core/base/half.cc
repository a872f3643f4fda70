#include "core/base/half.h"

#include <bit>

namespace regroup {
namespace {

constexpr std::uint32_t kExponent = 0x7F800000, kFraction = 0x007FFFFF;

bool is_nan(std::uint32_t bits) {
  return (bits & kExponent) == kExponent && (bits & kFraction) != 0;
}

// `bits` without its last `count`, rounded to nearest, ties to even. A carry into the exponent is right.
std::uint32_t rounded(std::uint32_t bits, std::uint32_t count) {
  const std::uint32_t half = 1u << (count - 1);
  return (bits + half - 1 + (bits >> count & 1)) >> count;
}

}  // namespace

float half_to_float(std::uint16_t half) {
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000) << 16;
  const std::uint32_t exponent = half >> 10 & 0x1F, fraction = half & 0x3FF;
  if (exponent == 0) {
    const float magnitude = static_cast<float>(fraction) * 0x1p-24F;  // subnormal: exact in float32
    return sign != 0 ? -magnitude : magnitude;
  }
  const std::uint32_t wide = exponent == 0x1F ? kExponent : (exponent + 127 - 15) << 23;
  return std::bit_cast<float>(sign | wide | fraction << 13);
}

std::uint16_t float_to_half(float value) {
  constexpr std::uint32_t kInfinity = 0x7C00, kSmallestNormal = 0x38800000, kOverflow = 0x477FF000;
  const std::uint32_t all = std::bit_cast<std::uint32_t>(value), bits = all & 0x7FFFFFFF;
  const auto sign = static_cast<std::uint32_t>(all >> 16 & 0x8000);
  if (is_nan(bits)) return static_cast<std::uint16_t>(sign | kInfinity | 0x200 | (bits & kFraction) >> 13);
  if (bits >= kOverflow) return static_cast<std::uint16_t>(sign | kInfinity);
  if (bits >= kSmallestNormal)
    return static_cast<std::uint16_t>(sign | rounded(bits - ((127 - 15) << 23), 13));
  // Subnormal halves are multiples of 2^-24; adding 1/2 leaves exactly those bits of a float32, rounded.
  const float shifted = std::bit_cast<float>(bits) + 0.5F;
  return static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(shifted) & 0x7FF));
}

float bfloat16_to_float(std::uint16_t bfloat16) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bfloat16) << 16);
}

std::uint16_t float_to_bfloat16(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  if (is_nan(bits)) return static_cast<std::uint16_t>(bits >> 16 | 0x40);
  return static_cast<std::uint16_t>(rounded(bits, 16));
}

}  // namespace regroup
