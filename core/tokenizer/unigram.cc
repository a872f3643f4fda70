#include "core/tokenizer/unigram.h"

#include <algorithm>
#include <utility>

#include "core/base/error.h"
#include "core/tokenizer/unicode.h"

namespace regroup::tokenizer {
namespace {

// SentencePiece's: an unknown character costs this much more than the least likely piece.
constexpr double kUnknownPenalty = 10.0;

std::vector<std::pair<std::string, Token>> with_ids(const Pieces& pieces) {
  std::vector<std::pair<std::string, Token>> all;
  for (Token id = 0; id < pieces.end(); ++id)
    if (pieces.text(id) != nullptr) all.emplace_back(*pieces.text(id), id);
  return all;
}

}  // namespace

// The best way to write the word up to here: its sum, and its last piece.
struct Unigram::Node {
  static constexpr std::size_t kNone = ~std::size_t{0};
  double sum = 0;
  std::size_t begin = kNone;
  Token id = -1;

  void offer(double candidate, std::size_t from, Token last) {
    if (begin == kNone || candidate > sum) *this = {candidate, from, last};
  }
};

Unigram::Unigram(UnigramParts parts, const std::string& where)
    : parts_(std::move(parts)), index_(with_ids(parts_.pieces)) {
  if (parts_.scores.empty()) throw UserError({.where = where, .what = "an empty vocabulary"});
  unknown_score_ = *std::ranges::min_element(parts_.scores) - kUnknownPenalty;
}

std::vector<Unigram::Node> Unigram::best_paths(std::string_view word) const {
  std::vector<Node> ends(word.size() + 1);
  ends[0].begin = 0;
  for (std::size_t begin = 0; begin < word.size();) {
    std::size_t next = begin;
    next_character(word, next);
    const double sum = ends[begin].sum;
    bool has_character = false;
    index_.for_each_prefix(word.substr(begin), [&](std::size_t size, Token id) {
      ends[begin + size].offer(sum + parts_.scores[static_cast<std::size_t>(id)], begin, id);
      has_character |= begin + size == next;
    });
    if (!has_character) {
      if (!parts_.unknown)
        throw UserError({.what = "the tokenizer has no piece for a character and no unknown token",
                         .found = "'" + std::string(word.substr(begin, next - begin)) + "'"});
      ends[next].offer(sum + unknown_score_, begin, *parts_.unknown);
    }
    begin = next;
  }
  return ends;
}

void Unigram::encode(std::string_view word, std::vector<Token>& ids) const {
  const std::vector<Node> ends = best_paths(word);
  // From the end: pieces, unknown ones in a row as one.
  std::vector<std::pair<std::size_t, std::size_t>> spans;
  bool last_unknown = false;
  for (std::size_t end = word.size(); end > 0; end = ends[end].begin) {
    const bool is_unknown = ends[end].id == parts_.unknown;
    if (is_unknown && last_unknown) {
      spans.back().first = ends[end].begin;
    } else {
      spans.emplace_back(ends[end].begin, end);
    }
    last_unknown = is_unknown;
  }
  for (auto span = spans.rbegin(); span != spans.rend(); ++span) {
    const std::string_view text = word.substr(span->first, span->second - span->first);
    if (const auto id = parts_.pieces.find(text)) {
      ids.push_back(*id);
    } else {
      append_unknown(text, ids);
    }
  }
}

void Unigram::append_unknown(std::string_view text, std::vector<Token>& ids) const {
  const std::size_t before = ids.size();
  bool all = parts_.byte_fallback;
  for (std::size_t i = 0; all && i < text.size(); ++i) {
    const auto id = parts_.pieces.find(byte_piece(static_cast<unsigned char>(text[i])));
    if (id) ids.push_back(*id);
    all = id.has_value();
  }
  if (all) return;
  ids.resize(before);
  ids.push_back(*parts_.unknown);
}

float Unigram::score(Token id) const {
  const auto index = static_cast<std::size_t>(id);
  return index < parts_.scores.size() ? static_cast<float>(parts_.scores[index]) : 0;
}

}  // namespace regroup::tokenizer
