// Text from a model: greedy or sampled, with or without the key/value cache.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "core/tokenizer/tokenizer.h"

namespace regroup::model {

class Decoder;

struct GenerateOptions {
  std::int64_t max_new_tokens = 128;
  double temperature = 0;  // 0: greedy
  double top_p = 1;        // sample among the most likely tokens that together have this probability
  bool use_cache = true;   // false: every step sees the whole text again (for comparison)
  std::uint64_t seed = 0;
};

// Continues `prompt` until max_new_tokens, the end-of-sequence id, or the model's last position; calls `emit`
// for every new token as it comes.
std::vector<tokenizer::Token> generate(const Decoder& decoder, std::span<const tokenizer::Token> prompt,
                                       std::optional<tokenizer::Token> end, const GenerateOptions& options,
                                       const std::function<void(tokenizer::Token)>& emit = {});

}  // namespace regroup::model
