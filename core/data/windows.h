// Which tokens make an input: pure index arithmetic, no data.
//
// An input of T tokens at position p is [p, p+T), its targets [p+1, p+T+1).
#pragma once

#include <cstdint>
#include <vector>

namespace regroup::data {

struct Window {
  std::int64_t begin = 0, length = 0;
  bool operator==(const Window&) const = default;
};

// Evaluation: inputs [iW, min((i+1)W, N-1)) for all i, so that every token but the stream's first is a target
// exactly once. `tokens` is N >= 2.
std::vector<Window> consecutive_windows(std::int64_t tokens, std::int64_t window);

// Training: the order of inputs as a pure function of (seed, position), so that a resumed run needs no state.
// An epoch is all disjoint windows of length T from a random offset in [0, T), in a random order; every epoch
// has its own offset and order.
class ShuffledWindows {
 public:
  ShuffledWindows(std::int64_t tokens, std::int64_t length, std::uint64_t seed);
  Window at(std::int64_t position) const;  // position >= 0, unbounded

 private:
  std::int64_t tokens_, length_, per_epoch_;
  std::uint64_t seed_;
};

}  // namespace regroup::data
