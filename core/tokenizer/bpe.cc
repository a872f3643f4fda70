#include "core/tokenizer/bpe.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/error.h"
#include "core/tokenizer/byte_level.h"
#include "core/tokenizer/unicode.h"

namespace regroup::tokenizer {
namespace {

std::string with_marked_spaces(std::string_view part) {
  std::string marked;
  for (const char c : part) c == ' ' ? marked.append("\xc4\xa0") : marked.append(1, c);  // U+0120
  return marked;
}

}  // namespace

Bpe::Bpe(BpeParts parts, bool bytes, const std::string& where) : parts_(std::move(parts)), bytes_(bytes) {
  fallback_.fill(-1);
  if (parts_.byte_fallback)
    for (unsigned byte = 0; byte < 256; ++byte)
      fallback_[byte] = parts_.pieces.find(byte_piece(static_cast<unsigned char>(byte))).value_or(-1);
  if (parts_.unknown) {
    unknown_ = parts_.pieces.find(*parts_.unknown);
    if (!unknown_)
      throw UserError(
          {.where = where, .what = "the unknown token \"" + *parts_.unknown + "\" is not in the vocabulary"});
  }
  first_rank_.assign(static_cast<std::size_t>(parts_.pieces.end()), -1);
  add_merges(where);
  for (unsigned byte = 0; byte < 256; ++byte) {
    std::string letter;
    append_character(letter, byte_letters()[byte]);
    byte_symbols_[byte] = parts_.pieces.find(letter).value_or(-1);
  }
}

void Bpe::add_merges(const std::string& where) {
  for (std::size_t rank = 0; rank < parts_.merges.size(); ++rank) {
    const auto& [left, right] = parts_.merges[rank];
    const auto id_of = [&](const std::string& text) {
      const auto id = parts_.pieces.find(text);
      if (!id)
        throw UserError({.where = where,
                         .what = fmt::format("merge {} names what is not in the vocabulary", rank),
                         .found = fmt::format("\"{}\" in \"{} {}\"", text, left, right)});
      return *id;
    };
    const Token first = id_of(left), second = id_of(right), both = id_of(left + right);
    joined_.set(first, second, {static_cast<std::int32_t>(rank), both});
    std::int32_t& first_rank = first_rank_[static_cast<std::size_t>(both)];
    if (first_rank < 0) first_rank = static_cast<std::int32_t>(rank);
    for (const Token part : {first, second})
      if (part == unknown_ || std::ranges::find(fallback_, part) != fallback_.end())
        joins_as_written_ = false;
  }
}

void Bpe::encode(std::string_view word, std::vector<Token>& ids) const {
  if (word.empty()) return;
  if (parts_.ignore_merges)
    if (const auto whole = parts_.pieces.find(bytes_ ? letters_of(word) : std::string(word))) {
      ids.push_back(*whole);
      return;
    }
  std::vector<Token> symbols;
  symbols.reserve(word.size());
  bytes_ ? append_bytes(word, symbols) : append_characters(word, symbols);
  join_neighbours(joined_, symbols);
  ids.insert(ids.end(), symbols.begin(), symbols.end());
}

void Bpe::append_bytes(std::string_view word, std::vector<Token>& symbols) const {
  for (const char byte : word) {
    const Token symbol = byte_symbols_[static_cast<unsigned char>(byte)];
    if (symbol < 0) {
      symbols.clear();
      return append_characters(letters_of(word), symbols);
    }
    symbols.push_back(symbol);
  }
}

void Bpe::append_characters(std::string_view word, std::vector<Token>& symbols) const {
  bool unknown_waits = false;
  for (std::size_t at = 0; at < word.size();) {
    const std::size_t begin = at;
    next_character(word, at);
    const std::string_view character = word.substr(begin, at - begin);
    if (const auto id = parts_.pieces.find(character)) {
      if (unknown_waits) symbols.push_back(*unknown_);
      unknown_waits = false;
      symbols.push_back(*id);
    } else if (!append_fallback(character, symbols) && unknown_) {
      // The reference puts an unknown character behind the bytes that follow it.
      if (unknown_waits && !parts_.fuse_unknown) symbols.push_back(*unknown_);
      unknown_waits = true;
    }
  }
  if (unknown_waits) symbols.push_back(*unknown_);
}

bool Bpe::append_fallback(std::string_view character, std::vector<Token>& symbols) const {
  const std::size_t before = symbols.size();
  for (const char byte : character) {
    const Token id = fallback_[static_cast<unsigned char>(byte)];
    if (id < 0) {
      symbols.resize(before);
      return false;
    }
    symbols.push_back(id);
  }
  return true;
}

float Bpe::score(Token id) const {
  if (bytes_ || id >= static_cast<Token>(first_rank_.size())) return 0;
  // A piece that no merge makes is never to be made.
  const std::int32_t rank = first_rank_[static_cast<std::size_t>(id)];
  return -static_cast<float>(rank >= 0 ? static_cast<std::size_t>(rank) : parts_.merges.size());
}

std::vector<std::string> Bpe::merges() const {
  std::vector<std::string> merges;
  for (const auto& [left, right] : parts_.merges)
    merges.push_back(with_marked_spaces(left) + " " + with_marked_spaces(right));
  return merges;
}

}  // namespace regroup::tokenizer
