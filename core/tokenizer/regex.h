// Patterns as tokenizer.json has them: Oniguruma's Ruby syntax, which is what Hugging Face's tokenizers gives
// them to. Other libraries read the same text differently (PCRE's \s holds U+180E, its \w no marks, and
// {1,3}+ is possessive there). Oniguruma before 6.9.10 knows Unicode 14 or 15: newer characters are matched
// by stand-ins.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace regroup::tokenizer {

struct Match {
  std::size_t begin = 0, end = 0;
};

class Regex {
 public:
  // UserError, with `where`, unless Oniguruma can read `pattern`.
  Regex(const std::string& pattern, const std::string& where);
  // All matches, from left to right, none inside another, in well-formed UTF-8.
  std::vector<Match> matches(std::string_view text) const;
  const std::string& pattern() const { return pattern_; }

 private:
  struct Compiled;
  std::string pattern_;
  std::shared_ptr<const Compiled> compiled_;
};

}  // namespace regroup::tokenizer
