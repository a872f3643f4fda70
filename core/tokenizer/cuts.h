// Where a text can be cut without changing the ids of a tokenizer.json: before a space between two letters,
// if every part of the tokenizer is known to allow it.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/tokenizer/added_tokens.h"
#include "core/tokenizer/normalizer.h"
#include "core/tokenizer/pre_tokenizer.h"
#include "core/tokenizer/word_model.h"

namespace regroup::tokenizer {

class Cuts {
 public:
  Cuts(const Normalizer* normalizer, const PreTokenizer& pre_tokenizer, const WordModel& model,
       const AddedTokens& added);

  // Views of at least `at_least` bytes (but the last). The space of a cut is at the front of what follows it,
  // or in neither part if the normalizer puts one before every text.
  std::vector<std::string_view> parts(std::string_view text, std::size_t at_least = kPartBytes) const;

  // Calls `visit` for the parts of a word of the model's, in order, which have the ids of the whole: it is
  // cut before a U+2581 that no piece reaches across. A model without a pre-tokenizer sees a book as one
  // word.
  template <typename Visit>
  void for_each_part(std::string_view word, Visit visit) const {
    std::size_t begin = 0;
    for (auto at = next_symbol(word, 0); at != word.npos; at = next_symbol(word, at)) {
      visit(word.substr(begin, at - begin));
      begin = at;
    }
    visit(word.substr(begin));
  }

 private:
  // Enough for several threads to share a book, and for the work at a part's ends not to count.
  static constexpr std::size_t kPartBytes = 256 * 1024;

  void look_for_crossing(const Pieces& pieces);
  bool allowed_at(std::string_view text, std::size_t space) const;
  // The next place behind `from` where a word can be cut; npos if there is none.
  std::size_t next_symbol(std::string_view word, std::size_t from) const;

  bool allowed_ = false, ascii_only_ = false, drops_space_ = false;
  bool cuts_words_ = false;
  std::set<std::string, std::less<>> before_space_;  // characters that some piece holds before a space
};

}  // namespace regroup::tokenizer
