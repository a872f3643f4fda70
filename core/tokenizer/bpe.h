// Byte-pair encoding: neighbours are joined in the order of the merges, the earliest merge first and of its
// places the leftmost (Sennrich et al. 2016; over bytes Radford et al. 2019).
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/tokenizer/pair_table.h"
#include "core/tokenizer/word_model.h"

namespace regroup::tokenizer {

struct BpeParts {
  Pieces pieces;
  std::vector<std::pair<std::string, std::string>> merges;  // by rank
  std::optional<std::string> unknown;
  bool fuse_unknown = false;   // unknown characters in a row are one
  bool byte_fallback = false;  // an unknown character is the pieces of its bytes, if all are there
  bool ignore_merges = false;  // a word that is a piece is that piece
};

class Bpe : public WordModel {
 public:
  // `bytes`: words are bytes, pieces are written in GPT-2's letters. UserError, with `where`, if a merge is
  // not of pieces that are there.
  Bpe(BpeParts parts, bool bytes, const std::string& where);

  void encode(std::string_view word, std::vector<Token>& ids) const override;
  const Pieces& pieces() const override { return parts_.pieces; }
  std::optional<Token> unknown() const override { return unknown_; }
  bool joins_as_written() const override { return joins_as_written_; }
  bool has_merges() const override { return true; }
  bool ignores_merges() const override { return parts_.ignore_merges; }
  float score(Token id) const override;
  std::vector<std::string> merges() const override;

 private:
  void add_merges(const std::string& where);
  void append_bytes(std::string_view word, std::vector<Token>& symbols) const;
  void append_characters(std::string_view word, std::vector<Token>& symbols) const;
  bool append_fallback(std::string_view character, std::vector<Token>& symbols) const;

  BpeParts parts_;
  bool bytes_;
  bool joins_as_written_ = true;
  std::optional<Token> unknown_;
  PairTable joined_;
  std::vector<std::int32_t> first_rank_;   // by id: of the first merge that makes the piece; -1 if none
  std::array<Token, 256> byte_symbols_{};  // by byte: the piece of its letter; -1 if none
  std::array<Token, 256> fallback_{};      // by byte: the piece that names it; -1 if none
};

}  // namespace regroup::tokenizer
