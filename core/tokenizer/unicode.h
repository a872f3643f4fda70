// Characters, and the properties of them that tokenizers ask for.
//
// The ids of Hugging Face's tokenizers depend on which version of Unicode each of its parts was built with:
// patterns 16 (Oniguruma), digits 17 (Rust), punctuation 8 and normalization 9 (crates). A character that is
// newer than a part's version is unassigned to it. Ours do the same on whatever versions the system's
// libraries have from Unicode 14 on.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace regroup::tokenizer {

// `text` with every byte that is no part of a well-formed character replaced by U+FFFD.
std::string to_utf8(std::string_view text);
bool is_utf8(std::string_view text);

// The character at `at` of well-formed UTF-8; moves `at` behind it.
char32_t next_character(std::string_view text, std::size_t& at);
void append_character(std::string& text, char32_t character);

bool is_letter(char32_t character);        // category L
bool is_numeric(char32_t character);       // category N
bool is_punctuation(char32_t character);   // category P, and ASCII's symbols
bool is_space(char32_t character);         // White_Space
bool is_python_space(char32_t character);  // what Python's str.strip() and \s take: also U+001C to U+001F
bool is_word(char32_t character);          // what \w matches

enum class Form { kNfc, kNfd, kNfkc, kNfkd };
std::string normalize(Form form, std::string_view text);

// A character of the same size in UTF-8 and of the same category that Unicode 14 knows, if `character` came
// with 15 or 16; otherwise `character`.
char32_t stand_in(char32_t character);

// How many bytes `text` has before the white space at its end (Python's str.rstrip()).
std::size_t size_without_trailing_space(std::string_view text);

}  // namespace regroup::tokenizer
