// How much of a held-out text stands in the training text, word for word.
//
// Runs of `run` tokens of the held-out stream are hashed (Karp and Rabin 1987), a hash of as many tokens
// slides over the training stream, and every hit is compared token by token, so that no collision accuses
// anyone. Time is linear in both streams, memory 20 bytes for each held-out token.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/data/token_stream.h"

namespace regroup::data {

struct Overlap {
  std::int64_t tokens =
      0;             // of the held-out stream, in runs of at least `run` that the training stream has too
  double share = 0;  // of the held-out tokens
  // Where the first such run starts in the held-out stream, and one place where the training stream has it.
  struct Place {
    std::int64_t held_out = 0, train = 0;
  };
  std::optional<Place> first;
};

// `run` is at least 1. A stream of fewer tokens has no overlap.
Overlap overlap(const TokenStream& train, const TokenStream& held_out, std::int64_t run = 64);

// "corpus.txt, document 3, token 41": documents and tokens counted from 1, the document within its file.
std::string place_of(const TokenStream& stream, std::int64_t token);

}  // namespace regroup::data
