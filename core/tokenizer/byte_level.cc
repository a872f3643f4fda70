#include "core/tokenizer/byte_level.h"

#include <vector>

#include "core/tokenizer/unicode.h"

namespace regroup::tokenizer {
namespace {

constexpr bool is_visible(unsigned byte) {
  return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

constexpr std::array<char32_t, 256> kLetters = [] {
  std::array<char32_t, 256> letters{};
  char32_t next = 0x100;
  for (unsigned byte = 0; byte < 256; ++byte) letters[byte] = is_visible(byte) ? byte : next++;
  return letters;
}();

// By character below U+0144: the byte plus one, or 0.
constexpr std::array<std::uint16_t, 0x144> kBytes = [] {
  std::array<std::uint16_t, 0x144> bytes{};
  for (unsigned byte = 0; byte < 256; ++byte) bytes[kLetters[byte]] = static_cast<std::uint16_t>(byte + 1);
  return bytes;
}();

}  // namespace

const std::array<char32_t, 256>& byte_letters() {
  return kLetters;
}

std::string letters_of(std::string_view bytes) {
  std::string letters;
  letters.reserve(2 * bytes.size());
  for (const char byte : bytes) append_character(letters, kLetters[static_cast<unsigned char>(byte)]);
  return letters;
}

std::optional<std::string> bytes_of(std::string_view letters) {
  std::string bytes;
  for (std::size_t at = 0; at < letters.size();) {
    const char32_t letter = next_character(letters, at);
    if (letter >= kBytes.size() || kBytes[letter] == 0) return std::nullopt;
    bytes.push_back(static_cast<char>(kBytes[letter] - 1));
  }
  return bytes;
}

}  // namespace regroup::tokenizer
