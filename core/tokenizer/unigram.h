// Unigram models: of all ways to write a word as pieces, the one with the largest sum of scores (Kudo 2018).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/tokenizer/word_model.h"

namespace regroup::tokenizer {

struct UnigramParts {
  Pieces pieces;
  std::vector<double> scores;  // by id, none missing
  std::optional<Token> unknown;
  bool byte_fallback = false;
};

class Unigram : public WordModel {
 public:
  // UserError, with `where`, if there are no pieces.
  Unigram(UnigramParts parts, const std::string& where);

  // UserError if a character is no piece and there is no unknown token.
  void encode(std::string_view word, std::vector<Token>& ids) const override;
  const Pieces& pieces() const override { return parts_.pieces; }
  std::optional<Token> unknown() const override { return parts_.unknown; }
  bool joins_as_written() const override { return true; }
  bool has_merges() const override { return false; }
  float score(Token id) const override;

 private:
  struct Node;
  std::vector<Node> best_paths(std::string_view word) const;
  void append_unknown(std::string_view text, std::vector<Token>& ids) const;

  UnigramParts parts_;
  PrefixIndex index_;
  double unknown_score_ = 0;
};

}  // namespace regroup::tokenizer
