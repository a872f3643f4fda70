#include "core/tokenizer/regex.h"

#define ONIG_ESCAPE_UCHAR_COLLISION
#include <oniguruma.h>

#include <algorithm>
#include <mutex>

#include "core/base/error.h"
#include "core/tokenizer/unicode.h"

namespace regroup::tokenizer {
namespace {

const OnigUChar* bytes(std::string_view text) {
  return reinterpret_cast<const OnigUChar*>(text.data());
}

std::string message_of(int code, const OnigErrorInfo* info) {
  OnigUChar text[ONIG_MAX_ERROR_MESSAGE_LEN];
  const int size =
      info != nullptr ? onig_error_code_to_str(text, code, info) : onig_error_code_to_str(text, code);
  return to_utf8({reinterpret_cast<const char*>(text), static_cast<std::size_t>(size)});
}

// `text` itself, or a copy in `copy` with stand-ins, character by character of the same size.
std::string_view with_stand_ins(std::string_view text, std::string& copy) {
  constexpr unsigned char kLeadOfThreeBytes = 0xE0;
  const auto is_long = [](char c) { return static_cast<unsigned char>(c) >= kLeadOfThreeBytes; };
  const auto first = std::ranges::find_if(text, is_long);
  for (auto at = static_cast<std::size_t>(first - text.begin()); at < text.size();) {
    const std::size_t begin = at;
    const char32_t character = next_character(text, at), known = stand_in(character);
    if (known == character) continue;
    if (copy.empty()) copy = text;
    std::string replacement;
    append_character(replacement, known);
    copy.replace(begin, at - begin, replacement);
  }
  return copy.empty() ? text : std::string_view(copy);
}

struct Region {
  OnigRegion* region = onig_region_new();
  Region() = default;
  Region(const Region&) = delete;
  Region& operator=(const Region&) = delete;
  ~Region() { onig_region_free(region, 1); }
};

}  // namespace

struct Regex::Compiled {
  OnigRegex regex = nullptr;
  Compiled() = default;
  Compiled(const Compiled&) = delete;
  Compiled& operator=(const Compiled&) = delete;
  ~Compiled() { onig_free(regex); }
};

Regex::Regex(const std::string& pattern, const std::string& where) : pattern_(pattern) {
  static std::once_flag once;
  std::call_once(once, [] {
    OnigEncoding encoding = ONIG_ENCODING_UTF8;
    check(onig_initialize(&encoding, 1) == ONIG_NORMAL, "Oniguruma starts");
  });
  const auto compiled = std::make_shared<Compiled>();
  OnigErrorInfo info;
  const OnigUChar* text = bytes(pattern_);
  const int code = onig_new(&compiled->regex, text, text + pattern_.size(), ONIG_OPTION_NONE,
                            ONIG_ENCODING_UTF8, ONIG_SYNTAX_RUBY, &info);
  if (code != ONIG_NORMAL)
    throw UserError({.where = where,
                     .what = "a pattern that cannot be read",
                     .found = "\"" + pattern_.substr(0, 100) + "\" (" + message_of(code, &info) + ")"});
  compiled_ = compiled;
}

std::vector<Match> Regex::matches(std::string_view text) const {
  std::string copy;
  const std::string_view known = with_stand_ins(text, copy);
  const OnigUChar *begin = bytes(known), *end = begin + known.size();
  std::vector<Match> found;
  const Region scratch;
  for (std::size_t at = 0; at <= known.size();) {
    const auto where =
        onig_search(compiled_->regex, begin, end, begin + at, end, scratch.region, ONIG_OPTION_NONE);
    if (where == ONIG_MISMATCH) break;
    if (where < 0)
      throw UserError({.what = "the tokenizer's pattern cannot be matched against this text",
                       .found = message_of(static_cast<int>(where), nullptr)});
    const Match match{static_cast<std::size_t>(scratch.region->beg[0]),
                      static_cast<std::size_t>(scratch.region->end[0])};
    at = match.end;
    const bool is_empty = match.begin == match.end;
    // An empty match right behind another one is none, or the search would not end.
    if (is_empty && !found.empty() && found.back().end == match.end) {
      if (at == known.size()) break;
      next_character(known, at);
      continue;
    }
    found.push_back(match);
  }
  return found;
}

}  // namespace regroup::tokenizer
