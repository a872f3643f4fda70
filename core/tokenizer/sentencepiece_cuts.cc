#include "core/tokenizer/sentencepiece_cuts.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>

#include "core/tokenizer/protobuf.h"

namespace regroup::tokenizer {
namespace {

constexpr std::string_view kSpaceSymbol = "\xe2\x96\x81";  // U+2581, a space inside a piece

// What of a ModelProto decides whether texts may be cut. Defaults are those of the .proto file.
struct Spec {
  enum ModelType : std::uint64_t { kUnigram = 1, kBpe = 2 };

  std::uint64_t model_type = kUnigram;
  bool space_is_suffix = false, dummy_prefix = true, escape_spaces = true, identity = true, has_space = false;
  std::string_view rules;  // by name

  bool allows_cuts() const {
    constexpr std::array<std::string_view, 4> kUnicode = {"nmt_nfkc", "nfkc", "nmt_nfkc_cf", "nfkc_cf"};
    const bool known_rules = identity || std::ranges::find(kUnicode, rules) != kUnicode.end();
    return (model_type == kUnigram || model_type == kBpe) && !space_is_suffix && dummy_prefix &&
           escape_spaces && known_rules && has_space;
  }
};

bool read_trainer(std::string_view message, Spec& spec) {
  return for_each_field(message, [&](const Field& field) {
    if (field.number == 3) spec.model_type = field.value;
    if (field.number == 24) spec.space_is_suffix = field.value != 0;
  });
}

bool read_normalizer(std::string_view message, Spec& spec) {
  return for_each_field(message, [&](const Field& field) {
    if (field.number == 1) spec.rules = field.bytes;
    if (field.number == 2 && !field.bytes.empty()) spec.identity = false;  // precompiled_charsmap
    if (field.number == 3) spec.dummy_prefix = field.value != 0;
    if (field.number == 5) spec.escape_spaces = field.value != 0;
  });
}

// Where the character that ends before `end` begins.
std::size_t character_before(std::string_view text, std::size_t end) {
  std::size_t begin = end;
  while (begin > 0 && (text[--begin] & 0xc0) == 0x80) continue;
  return begin;
}

bool is_ascii_graphic(char c) {
  return c > ' ' && c < '\x7f';
}

}  // namespace

SentencePieceCuts::SentencePieceCuts(std::string_view model) {
  Spec spec;
  const auto read_piece = [&](std::string_view message) {
    return for_each_field(message, [&](const Field& field) {
      if (field.number != 1) return;
      const std::string_view piece = field.bytes;
      if (piece == kSpaceSymbol) spec.has_space = true;
      for (auto at = piece.find(kSpaceSymbol, 1); at != piece.npos; at = piece.find(kSpaceSymbol, at + 1)) {
        const std::size_t begin = character_before(piece, at);
        before_space_.emplace(piece.substr(begin, at - begin));
      }
    });
  };
  bool sound = true;
  sound &= for_each_field(model, [&](const Field& field) {
    if (field.number == 1) sound &= read_piece(field.bytes);
    if (field.number == 2) sound &= read_trainer(field.bytes, spec);
    if (field.number == 3) sound &= read_normalizer(field.bytes, spec);
  });
  allowed_ = sound && spec.allows_cuts();
  between_ascii_only_ = !spec.identity;
}

bool SentencePieceCuts::allowed_at(std::string_view text, std::size_t space) const {
  // Spaces in a row stay together: some models drop them at a text's ends.
  const std::string_view rest = text.substr(space + 1);
  if (rest.empty() || rest.front() == ' ' || rest.starts_with(kSpaceSymbol)) return false;
  const std::size_t begin = character_before(text, space);
  const std::string_view character = text.substr(begin, space - begin);
  if (between_ascii_only_ && !(is_ascii_graphic(rest.front()) && is_ascii_graphic(text[space - 1])))
    return false;
  return character != " " && character != kSpaceSymbol && !before_space_.contains(character);
}

std::vector<std::string_view> SentencePieceCuts::parts(std::string_view text, std::size_t at_least) const {
  std::vector<std::string_view> parts;
  std::size_t begin = 0;
  const std::size_t step = std::max<std::size_t>(at_least, 1);
  std::size_t space = allowed_ ? text.find(' ', step) : text.npos;
  while (space != text.npos) {
    if (allowed_at(text, space)) {
      parts.push_back(text.substr(begin, space - begin));
      begin = space + 1;
      space = text.find(' ', begin + step);
    } else {
      space = text.find(' ', space + 1);
    }
  }
  parts.push_back(text.substr(begin));
  return parts;
}

}  // namespace regroup::tokenizer
