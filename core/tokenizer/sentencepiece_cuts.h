// Where a text can be cut without changing its ids.
//
// A text of n characters takes SentencePiece time n log n and some hundred bytes a character: a book in one
// piece is slow and a corpus in one piece does not fit in memory. And its unigram models add float32 scores
// up along the text, so that in a long one rounding decides between close segmentations (versions before
// 0.2).
//
// BPE only ever joins neighbours into a piece of the vocabulary, and a unigram segmentation is a row of them.
// Hence if no piece holds the character c followed by a space, none reaches across "c ", and what stands
// before and after that place is encoded independently. The second part is given without its space: the
// model puts one before every text (add_dummy_prefix).
//
// The text must not be changed across the cut either: either it is not changed at all (identity normalizer,
// as Llama's), or by one of Unicode's compatibility normalizations, which leave an ASCII character and the
// space beside it alone. Texts of other models are not cut.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace regroup::tokenizer {

class SentencePieceCuts {
 public:
  // `model` is the serialized ModelProto (sentencepiece_model.proto), already known to be one.
  explicit SentencePieceCuts(std::string_view model);

  // Views of at least `at_least` bytes (but the last), each ending before a space where that is allowed.
  std::vector<std::string_view> parts(std::string_view text, std::size_t at_least) const;

 private:
  bool allowed_at(std::string_view text, std::size_t space) const;

  bool allowed_ = false;
  bool between_ascii_only_ = false;
  std::set<std::string, std::less<>> before_space_;  // characters that some piece holds before a space
};

}  // namespace regroup::tokenizer
