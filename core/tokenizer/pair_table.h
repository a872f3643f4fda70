// What two neighbouring symbols become: a hash table by pair of ids.
#pragma once

#include <cstdint>
#include <vector>

#include "core/tokenizer/vocabulary.h"

namespace regroup::tokenizer {

struct Joined {
  std::int32_t rank = -1;  // smaller is earlier; -1: these two are not joined
  Token id = -1;
};

class PairTable {
 public:
  // Of a pair that is given twice the later counts.
  void set(Token left, Token right, Joined joined);

  Joined find(Token left, Token right) const {
    if (rows_.empty()) return {};
    const std::uint64_t wanted = key(left, right);
    for (std::size_t at = slot(wanted);; at = (at + 1) & (rows_.size() - 1)) {
      if (rows_[at].pair == wanted) return rows_[at].joined;
      if (rows_[at].pair == kNone) return {};
    }
  }

 private:
  static constexpr std::uint64_t kNone = ~std::uint64_t{0};  // no pair: ids are not negative
  struct Row {
    std::uint64_t pair = kNone;
    Joined joined;
  };

  static std::uint64_t key(Token left, Token right) {
    return std::uint64_t{static_cast<std::uint32_t>(left)} << 32 | static_cast<std::uint32_t>(right);
  }
  // Fibonacci hashing: the upper bits of a product with 2^64 / golden ratio.
  std::size_t slot(std::uint64_t pair) const {
    return static_cast<std::size_t>((pair * 0x9E3779B97F4A7C15u) >> shift_);
  }
  void grow();

  std::vector<Row> rows_;  // a power of two, at most half full
  std::size_t used_ = 0;
  int shift_ = 64;
};

// Joins neighbours of `symbols` until no pair is left that `table` joins: always the pair of least rank, the
// leftmost of these. n log n for n symbols.
void join_neighbours(const PairTable& table, std::vector<Token>& symbols);

}  // namespace regroup::tokenizer
