// Random streams by name: what is drawn for one purpose does not depend on what else was drawn, or in which
// order.
//
// A stream is determined by (seed, name); the same pair gives the same numbers on every machine.
#pragma once

#include <cstdint>
#include <string_view>

namespace regroup {

class RandomStream {
 public:
  RandomStream(std::uint64_t seed, std::string_view name);
  std::uint64_t bits();                      // uniform over 64 bits (SplitMix64)
  double uniform();                          // in [0, 1)
  double normal();                           // mean 0, variance 1 (Box-Muller)
  std::uint64_t below(std::uint64_t bound);  // uniform in [0, bound), bound > 0

 private:
  std::uint64_t state_;
};

// A keyed permutation of [0, size): `position` -> its image, in constant time and memory. A four-round
// Feistel network over the next even power of two, walked along its cycle until it lands inside.
std::uint64_t permute_index(std::uint64_t position, std::uint64_t size, std::uint64_t key);

}  // namespace regroup
