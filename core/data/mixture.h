// Several sources in one training run, by weight: which of them the window at a position comes from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace regroup::data {

// Weights as a person writes them (0.7 0.2 0.1, or 7 2 1), as the smallest whole numbers in the same
// proportion. UserError naming --data-weights unless there is one for each of `files` files, each is positive
// with at most six digits after the point, and the whole numbers' sum is at most a million.
std::vector<std::int64_t> whole_weights(std::span<const double> weights, std::size_t files);

// A sequence of sources in which the first n have, for every n, between n·share - 1 and n·share + 1 of each
// source, share = weight / sum of weights: no stretch of training sees much more or less of a source than the
// whole does. It repeats after as many positions as the weights' sum, so that any position is looked up in a
// table of one period: constant time, no state to resume. Of several sources whose turn may come, the one
// whose turn must come first is taken (R. Tijdeman, "The chairman assignment problem", Discrete Mathematics
// 32, 1980, which proves that deviations stay within 1 - 1/(2k-2) for k sources).
class Interleaving {
 public:
  // `weights` are positive whole numbers, as whole_weights() gives them.
  explicit Interleaving(std::span<const std::int64_t> weights);

  struct Turn {
    std::size_t source = 0;
    std::int64_t index = 0;  // how often the source had its turn before
    bool operator==(const Turn&) const = default;
  };
  Turn at(std::int64_t position) const;  // position >= 0, unbounded

 private:
  std::vector<std::int64_t> weights_;
  struct Entry {
    std::uint32_t source = 0, index = 0;
  };
  std::vector<Entry> period_;
};

}  // namespace regroup::data
