// Tokens beside the model's pieces ("added_tokens" of a tokenizer.json): found in a text before anything
// else.
//
// Special ones (BOS, EOS, names of roles) are not found: in a text, their names are text. The others, such as
// GPT-NeoX's runs of spaces, are part of how text is written and are found. This is what the reference does
// with encode_special_tokens (split_special_tokens in transformers).
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/tokenizer/fields.h"
#include "core/tokenizer/normalizer.h"
#include "core/tokenizer/pieces.h"

namespace regroup::tokenizer {

struct AddedToken {
  std::string content;
  Token id = -1;
  bool special = false;
  bool single_word = false;                        // only where no word character stands beside it
  bool strips_left = false, strips_right = false;  // takes the white space beside it with it
  bool normalized = false;                         // looked for in the normalized text, normalized itself
};

class AddedTokens {
 public:
  // From the array "added_tokens"; `pieces` are the model's. UserError for an id that is taken by another
  // piece or is not the one that the reference, which counts, would give.
  AddedTokens(const Fields& file, const Pieces& pieces, const Normalizer* normalizer);

  const std::vector<AddedToken>& all() const { return tokens_; }
  std::optional<Token> find(std::string_view content) const;

  // What is in a text, in order: a token, or text between tokens.
  struct Section {
    std::string_view text;
    std::optional<Token> token;
  };
  std::vector<Section> in_raw(std::string_view text) const { return sections(text, raw_); }
  std::vector<Section> in_normalized(std::string_view text) const { return sections(text, normalized_); }

  // Whether tokens are the same in a text that is cut before a space between two letters.
  bool allow_cuts() const;

 private:
  std::vector<Section> sections(std::string_view text, const PrefixIndex& index) const;

  std::vector<AddedToken> tokens_;
  PrefixIndex raw_, normalized_;  // ids are places in tokens_
};

}  // namespace regroup::tokenizer
