#include "core/tokenizer/unicode.h"

#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/uniset.h>
#include <unicode/utf8.h>

#include <array>
#include <cctype>
#include <memory>

#include "core/base/error.h"

namespace regroup::tokenizer {
namespace {

UChar32 icu_character(char32_t character) {
  return static_cast<UChar32>(stand_in(character));
}

bool is_older_than(UChar32 character, std::uint8_t version) {
  UVersionInfo age;
  u_charAge(character, age);
  return age[0] < version;
}

// A normalizer that leaves alone what Unicode 9 does not know, as the reference's does.
const icu::Normalizer2& normalizer(Form form) {
  static const auto all = [] {
    UErrorCode status = U_ZERO_ERROR;
    static const icu::UnicodeSet known(icu::UnicodeString("[:age=9.0:]"), status);
    const std::array<const icu::Normalizer2*, 4> whole = {
        icu::Normalizer2::getNFCInstance(status), icu::Normalizer2::getNFDInstance(status),
        icu::Normalizer2::getNFKCInstance(status), icu::Normalizer2::getNFKDInstance(status)};
    check(U_SUCCESS(status), u_errorName(status));
    std::array<std::unique_ptr<icu::Normalizer2>, 4> filtered;
    for (std::size_t i = 0; i < whole.size(); ++i)
      filtered[i] = std::make_unique<icu::FilteredNormalizer2>(*whole[i], known);
    return filtered;
  }();
  return *all[static_cast<std::size_t>(form)];
}

bool is_ascii(std::string_view text) {
  unsigned char seen = 0;
  for (const char c : text) seen |= static_cast<unsigned char>(c);
  return seen < 0x80;
}

}  // namespace

std::string to_utf8(std::string_view text) {
  std::string result;
  const auto size = static_cast<std::int64_t>(text.size());
  for (std::int64_t at = 0; at < size;) {
    UChar32 character;
    U8_NEXT_OR_FFFD(text.data(), at, size, character);
    append_character(result, static_cast<char32_t>(character));
  }
  return result;
}

bool is_utf8(std::string_view text) {
  if (is_ascii(text)) return true;
  const auto size = static_cast<std::int64_t>(text.size());
  for (std::int64_t at = 0; at < size;) {
    UChar32 character;
    U8_NEXT(text.data(), at, size, character);
    if (character < 0) return false;
  }
  return true;
}

char32_t next_character(std::string_view text, std::size_t& at) {
  UChar32 character;
  U8_NEXT_UNSAFE(text.data(), at, character);
  return static_cast<char32_t>(character);
}

void append_character(std::string& text, char32_t character) {
  char bytes[U8_MAX_LENGTH];
  std::size_t size = 0;
  U8_APPEND_UNSAFE(bytes, size, character);
  text.append(bytes, size);
}

bool is_letter(char32_t character) {
  return (U_GET_GC_MASK(icu_character(character)) & U_GC_L_MASK) != 0;
}

bool is_numeric(char32_t character) {
  // Added by Unicode 17.
  if ((character >= 0x11DE0 && character <= 0x11DE9) || (character >= 0x16FF4 && character <= 0x16FF6))
    return true;
  return (U_GET_GC_MASK(icu_character(character)) & U_GC_N_MASK) != 0;
}

bool is_punctuation(char32_t character) {
  if (character < 0x80) return std::ispunct(static_cast<int>(character)) != 0;
  // Punctuation until they became a symbol (Unicode 12) and a mark (11).
  constexpr UChar32 kCanadianSyllabicsChiSign = 0x166D, kSharadaSandhiMark = 0x111C9;
  const auto icu = static_cast<UChar32>(character);
  if (icu == kCanadianSyllabicsChiSign || icu == kSharadaSandhiMark) return true;
  return (U_GET_GC_MASK(icu) & U_GC_P_MASK) != 0 && is_older_than(icu, 9);
}

bool is_space(char32_t character) {
  return u_isUWhiteSpace(static_cast<UChar32>(character)) != 0;
}

bool is_python_space(char32_t character) {
  return (character >= 0x1c && character <= 0x1f) || is_space(character);
}

bool is_word(char32_t character) {
  const UChar32 icu = icu_character(character);
  constexpr std::uint32_t kMasks = U_GC_M_MASK | U_GC_ND_MASK | U_GC_PC_MASK;
  return u_isUAlphabetic(icu) != 0 || (U_GET_GC_MASK(icu) & kMasks) != 0 ||
         u_hasBinaryProperty(icu, UCHAR_JOIN_CONTROL) != 0;
}

std::string normalize(Form form, std::string_view text) {
  if (is_ascii(text)) return std::string(text);
  std::string result;
  icu::StringByteSink<std::string> sink(&result, static_cast<int>(text.size()));
  UErrorCode status = U_ZERO_ERROR;
  normalizer(form).normalizeUTF8(0, icu::StringPiece(text.data(), static_cast<int>(text.size())), sink,
                                 nullptr, status);
  check(U_SUCCESS(status), u_errorName(status));
  return result;
}

std::size_t size_without_trailing_space(std::string_view text) {
  std::size_t size = 0;
  for (std::size_t at = 0; at < text.size();)
    if (!is_python_space(next_character(text, at))) size = at;
  return size;
}

}  // namespace regroup::tokenizer
