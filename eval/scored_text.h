// Where the scored tokens stand in the text, and how they read.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "core/data/windows.h"
#include "core/tokenizer/vocabulary.h"

namespace regroup::eval {

using tokenizer::Token;

struct ScoredText {
  std::span<const Token> tokens;                  // the whole stream
  std::span<const std::int64_t> document_starts;  // ascending, the first is 0
  std::vector<std::int64_t> targets;              // of every scored token: its index in the stream
  std::vector<std::int64_t> context;              // and how many tokens it is predicted from
  bool prefixed = false;  // every document starts with a token that the convention has put there
  // Empty where no tokenizer is known: tokens then read as their ids.
  std::function<std::string(std::span<const Token>)> decode = {};

  std::int64_t document_of(std::int64_t token) const;  // counted from 0
  std::int64_t position_of(std::int64_t token) const;  // in the text as it was, without prefixes
};

ScoredText locate_scores(std::span<const data::Window> windows, std::span<const Token> tokens,
                         std::span<const std::int64_t> document_starts);

// What each of stream[begin, end) adds to the text of those before it; "⟨7⟩" for a token that reads as
// nothing.
std::vector<std::string> texts_of(const ScoredText& text, std::int64_t begin, std::int64_t end);

// What `token` would add after stream[begin, end).
std::string text_after(const ScoredText& text, std::int64_t begin, std::int64_t end, Token token);

}  // namespace regroup::eval
