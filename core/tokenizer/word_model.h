// From words to ids: the "model" of a tokenizer.json.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/tokenizer/fields.h"
#include "core/tokenizer/pieces.h"

namespace regroup::tokenizer {

class WordModel {
 public:
  virtual ~WordModel() = default;
  // Appends the ids of `word`, which does not depend on the words around it. The library has no quadratic
  // time: a word may be a whole book.
  virtual void encode(std::string_view word, std::vector<Token>& ids) const = 0;

  virtual const Pieces& pieces() const = 0;
  virtual std::optional<Token> unknown() const = 0;
  // Whether a word is only ever joined into pieces that stand in it as they are written, so that a word can
  // be cut where no piece reaches across.
  virtual bool joins_as_written() const = 0;
  // Whether pieces are what merges make, rather than what scores choose.
  virtual bool has_merges() const = 0;
  virtual bool ignores_merges() const { return false; }
  virtual float score(Token) const { return 0; }
  virtual std::vector<std::string> merges() const { return {}; }  // as Vocabulary has them
};

// From the value of "model". `bytes`: the words come as bytes. UserError for a kind that is not supported,
// and for merges, ids or scores that make no sense.
std::unique_ptr<const WordModel> read_word_model(const Fields& fields, bool bytes);

// The bytes that "<0x41>" names.
std::string byte_piece(unsigned char byte);

}  // namespace regroup::tokenizer
