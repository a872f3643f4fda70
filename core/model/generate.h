// Text from a model: greedy or sampled, with or without the key/value cache.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
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
// for every new token as it comes. The end-of-sequence id itself is neither emitted nor returned. UserError
// for an option out of range, a prompt that is empty or leaves no position free, an id beyond the vocabulary,
// and logits that are not finite.
std::vector<tokenizer::Token> generate(const Decoder& decoder, std::span<const tokenizer::Token> prompt,
                                       std::optional<tokenizer::Token> end, const GenerateOptions& options,
                                       const std::function<void(tokenizer::Token)>& emit = {});

// What stands between documents in a row of tokens.
struct DocumentMarks {
  tokenizer::Token start = 0;
  std::optional<tokenizer::Token> end;  // none: the model itself writes `start` where a document ends
};

// Continues all of `rows`, which are equally long, to `length` tokens at once: one pass of the model a token.
// A document that ends is followed by another. Row i is drawn from its own random stream, named
// "generate/(first + i)". `done` is told of every token. UserErrors as of generate().
void generate_rows(const Decoder& decoder, std::vector<std::vector<tokenizer::Token>>& rows,
                   std::int64_t length, const DocumentMarks& marks, const GenerateOptions& options,
                   std::int64_t first = 0, const std::function<void(std::int64_t)>& done = {});

// Where the text comes from and how it is computed.
struct TextModel {
  std::filesystem::path directory;  // weights and tokenizer
  std::string device = "cpu";
  std::string dtype = "auto";  // fp32, bf16, fp16, fp64; auto: as the weights are stored
};

// The same for text: continues a document that begins with `prompt`. Hands out the continuation as it comes,
// in pieces that are whole UTF-8 characters.
void generate_text(const TextModel& model, std::string_view prompt, const GenerateOptions& options,
                   const std::function<void(std::string_view)>& emit);

}  // namespace regroup::model
