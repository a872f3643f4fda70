#include "eval/scored_text.h"

#include <fmt/format.h>

#include <algorithm>

namespace regroup::eval {
namespace {

std::string id_text(Token token) {
  return fmt::format("⟨{}⟩", token);
}

// The end of `whole` that `before` does not have. A token may be a part of a character, which changes how the
// ones before it read; then it stands for itself.
std::string added_text(const ScoredText& text, const std::string& before, const std::string& whole,
                       Token token) {
  const std::string added =
      whole.starts_with(before) ? whole.substr(before.size()) : text.decode(std::span(&token, 1));
  return added.empty() ? id_text(token) : added;
}

}  // namespace

std::int64_t ScoredText::document_of(std::int64_t token) const {
  return std::ranges::upper_bound(document_starts, token) - document_starts.begin() - 1;
}

std::int64_t ScoredText::position_of(std::int64_t token) const {
  return token - (prefixed ? document_of(token) + 1 : 0);
}

ScoredText locate_scores(std::span<const data::Window> windows, std::span<const Token> tokens,
                         std::span<const std::int64_t> document_starts) {
  ScoredText text{.tokens = tokens, .document_starts = document_starts, .targets = {}, .context = {}};
  for (const data::Window& window : windows)
    for (std::int64_t input = window.skip; input < window.length; ++input) {
      text.targets.push_back(window.begin + input + 1);
      text.context.push_back(input + 1);
    }
  return text;
}

std::vector<std::string> texts_of(const ScoredText& text, std::int64_t begin, std::int64_t end) {
  std::vector<std::string> texts;
  std::string before;
  for (std::int64_t at = begin; at < end; ++at) {
    const Token token = text.tokens[static_cast<std::size_t>(at)];
    if (!text.decode) {
      texts.push_back(id_text(token));
      continue;
    }
    std::string whole = text.decode(
        text.tokens.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(at + 1 - begin)));
    texts.push_back(added_text(text, before, whole, token));
    before = std::move(whole);
  }
  return texts;
}

std::string text_after(const ScoredText& text, std::int64_t begin, std::int64_t end, Token token) {
  if (!text.decode) return id_text(token);
  const auto part =
      text.tokens.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin));
  std::vector<Token> tokens(part.begin(), part.end());
  const std::string before = text.decode(tokens);
  tokens.push_back(token);
  return added_text(text, before, text.decode(tokens), token);
}

}  // namespace regroup::eval
