#include "core/tokenizer/cuts.h"

#include "core/tokenizer/unicode.h"

namespace regroup::tokenizer {
namespace {

constexpr std::string_view kSpaceSymbol = "\xe2\x96\x81";  // U+2581

std::size_t character_before(std::string_view text, std::size_t end) {
  std::size_t begin = end;
  while (begin > 0 && (text[--begin] & 0xc0) == 0x80) continue;
  return begin;
}

}  // namespace

Cuts::Cuts(const Normalizer* normalizer, const PreTokenizer& pre_tokenizer, const WordModel& model,
           const AddedTokens& added) {
  using Cut = Normalizer::Cut;
  using Space = PreTokenizer::Space;
  const Cut cut = normalizer ? normalizer->cut() : Cut::kKept;
  const Space space = pre_tokenizer.space(cut == Cut::kSymbol || cut == Cut::kSymbolPutFirst);
  ascii_only_ = cut == Cut::kAsciiKept;
  drops_space_ = cut == Cut::kSymbolPutFirst;
  allowed_ = cut != Cut::kUnknown && space != Space::kUnknown && added.allow_cuts();
  const Pieces& pieces = model.pieces();
  cuts_words_ = model.joins_as_written() && !pre_tokenizer.gives_bytes() && pieces.find(kSpaceSymbol);
  if (cuts_words_) look_for_crossing(pieces);
  if (space == Space::kSeparates) return;
  // A word goes on across the space.
  allowed_ &= cuts_words_;
  ascii_only_ |= cut == Cut::kKept && normalizer != nullptr;  // characters may change
}

void Cuts::look_for_crossing(const Pieces& pieces) {
  for (Token id = 0; id < pieces.end(); ++id) {
    const std::string* piece = pieces.text(id);
    if (piece == nullptr) continue;
    for (const std::string_view space : {kSpaceSymbol, std::string_view(" ")})
      for (auto at = piece->find(space, 1); at != piece->npos; at = piece->find(space, at + 1)) {
        const std::size_t begin = character_before(*piece, at);
        before_space_.emplace(*piece, begin, at - begin);
      }
  }
}

std::size_t Cuts::next_symbol(std::string_view word, std::size_t from) const {
  if (!cuts_words_) return word.npos;
  for (auto at = word.find(kSpaceSymbol, from + 1); at != word.npos; at = word.find(kSpaceSymbol, at + 1)) {
    const std::size_t before = character_before(word, at);
    if (!before_space_.contains(word.substr(before, at - before))) return at;
  }
  return word.npos;
}

bool Cuts::allowed_at(std::string_view text, std::size_t space) const {
  if (space == 0 || space + 1 == text.size()) return false;
  const std::size_t before = character_before(text, space);
  std::size_t left = before, right = space + 1;
  const char32_t last = next_character(text, left), next = next_character(text, right);
  if (ascii_only_ && (last >= 0x80 || next >= 0x80)) return false;
  if (!is_letter(last) || !is_letter(next)) return false;
  return !before_space_.contains(text.substr(before, space - before));
}

std::vector<std::string_view> Cuts::parts(std::string_view text, std::size_t at_least) const {
  std::vector<std::string_view> parts;
  std::size_t begin = 0;
  std::size_t space =
      allowed_ && text.size() > at_least && is_utf8(text) ? text.find(' ', at_least) : text.npos;
  while (space != text.npos) {
    if (allowed_at(text, space)) {
      parts.push_back(text.substr(begin, space - begin));
      begin = drops_space_ ? space + 1 : space;
      space = text.find(' ', begin + at_least);
    } else {
      space = text.find(' ', space + 1);
    }
  }
  parts.push_back(text.substr(begin));
  return parts;
}

}  // namespace regroup::tokenizer
