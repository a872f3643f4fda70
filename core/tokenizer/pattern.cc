#include "core/tokenizer/pattern.h"

#include "core/base/error.h"

namespace regroup::tokenizer {

Pattern::Pattern(const Fields& fields) {
  if (fields.has("String")) {
    literal_ = fields.text("String");
    if (literal_->empty()) fields.refuse("String", "some characters");
  } else if (fields.has("Regex")) {
    regex_.emplace(fields.text("Regex"), fields.where());
  } else {
    throw UserError({.where = fields.where(), .what = "neither a \"String\" nor a \"Regex\""});
  }
}

void refuse_growth(std::size_t before, std::size_t after) {
  constexpr std::size_t kMostTimes = 64, kAllowance = 4096;
  if (after > kMostTimes * (before + kAllowance))
    throw UserError({.what = "the tokenizer makes " + std::to_string(after) + " bytes of a text of " +
                             std::to_string(before) + ": its Replace steps do not look sane"});
}

std::vector<Match> Pattern::matches(std::string_view text) const {
  if (regex_) return regex_->matches(text);
  std::vector<Match> found;
  for (auto at = text.find(*literal_); at != text.npos; at = text.find(*literal_, at + literal_->size()))
    found.push_back({at, at + literal_->size()});
  return found;
}

std::string Pattern::replace(std::string_view text, std::string_view content) const {
  std::string result;
  result.reserve(text.size());
  std::size_t done = 0;
  for (const Match& match : matches(text)) {
    result.append(text.substr(done, match.begin - done)).append(content);
    refuse_growth(text.size(), result.size());
    done = match.end;
  }
  return result.append(text.substr(done));
}

}  // namespace regroup::tokenizer
