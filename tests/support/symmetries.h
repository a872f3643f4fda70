// What leaves an attention layer's function as it is, drawn at random: for tests that hide a model behind it.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <map>
#include <string>

#include "tests/support/tiny_llama.h"

namespace regroup::testing {

using NamedTensors = std::map<std::string, at::Tensor>;

// The same function with `kv_heads` key/value heads, a multiple of what `shape` has: each stands several
// times. Changes shape.kv_heads.
NamedTensors with_copied_heads(TinyLlama& shape, const NamedTensors& tensors, std::int64_t kv_heads);

// A random exact gauge of each key/value head: a complex factor per rotary pair of its keys, any invertible
// map of its values, both of condition at most 10, undone in queries and output columns.
NamedTensors with_random_gauges(const TinyLlama& shape, const NamedTensors& tensors, std::uint64_t seed);

// Key/value heads of each layer in a random order, each with its query heads; if `within` is given, each of
// so many neighbours among themselves.
NamedTensors with_shuffled_heads(const TinyLlama& shape, const NamedTensors& tensors, std::uint64_t seed,
                                 std::int64_t within = 0);

}  // namespace regroup::testing
