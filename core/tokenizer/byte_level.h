// GPT-2's letters for bytes: every byte as one visible character, so that a vocabulary over bytes can be
// written as text (Radford et al. 2019; bytes_to_unicode in its encoder.py).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace regroup::tokenizer {

// By byte: the byte itself where it is a visible Latin-1 character, else U+0100, U+0101, … in order.
const std::array<char32_t, 256>& byte_letters();
std::string letters_of(std::string_view bytes);
// Nothing if a character of `letters` stands for no byte.
std::optional<std::string> bytes_of(std::string_view letters);

}  // namespace regroup::tokenizer
