#include "core/base/random.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numbers>

#include "core/base/error.h"

namespace regroup {
namespace {

// SplitMix64's finalizer (Steele, Lea, Flood 2014).
std::uint64_t mix(std::uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

constexpr std::uint64_t kGolden = 0x9e3779b97f4a7c15ULL;

}  // namespace

RandomStream::RandomStream(std::uint64_t seed, std::string_view name) : state_(mix(seed + kGolden)) {
  for (const char c : name) state_ = mix(state_ ^ static_cast<unsigned char>(c)) + kGolden;
}

std::uint64_t RandomStream::bits() {
  return mix(state_ += kGolden);
}

double RandomStream::uniform() {
  return static_cast<double>(bits() >> 11) * 0x1p-53;
}

double RandomStream::normal() {
  const double radius = std::sqrt(-2 * std::log(1 - uniform()));
  return radius * std::cos(2 * std::numbers::pi * uniform());
}

std::uint64_t RandomStream::below(std::uint64_t bound) {
  check(bound > 0, "an empty range has no element to draw");
  const std::uint64_t rejected = (0 - bound) % bound;  // 2^64 mod bound: below it the remainder is biased
  std::uint64_t drawn = bits();
  while (drawn < rejected) drawn = bits();
  return drawn % bound;
}

std::uint64_t permute_index(std::uint64_t position, std::uint64_t size, std::uint64_t key) {
  check(position < size, "a position outside the permuted range");
  const int half = std::max(1, (static_cast<int>(std::bit_width(size - 1)) + 1) / 2);
  const std::uint64_t mask = (1ULL << half) - 1;
  do {
    std::uint64_t left = position >> half, right = position & mask;
    for (std::uint64_t round = 0; round < 4; ++round) {
      const std::uint64_t next = left ^ (mix(key + kGolden * (round + 1) + right) & mask);
      left = right;
      right = next;
    }
    position = left << half | right;
  } while (position >= size);
  return position;
}

}  // namespace regroup
