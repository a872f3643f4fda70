// Small Llama models with random weights, for tests that need a model but no file.
#pragma once

#include <cstdint>

#include "core/model/decoder.h"

namespace regroup::testing {

// Hidden 32, 2 layers, 4 query heads of 8, ffn 48, vocabulary 48.
family::ModelConfig small_config(std::int64_t kv_heads = 2);

// Every weight of `config`, drawn by its name (so that nothing depends on their order): matrices and biases
// normal with a deviation that keeps logits apart, norms around 1.
model::Weights random_weights(const family::ModelConfig& config, std::uint64_t seed = 0,
                              at::ScalarType type = at::kDouble);

// Ids below the vocabulary's size, [batch, count].
at::Tensor random_tokens(const family::ModelConfig& config, std::int64_t batch, std::int64_t count,
                         std::uint64_t seed = 0);

}  // namespace regroup::testing
