// {"String": "…"} or {"Regex": "…"} of a tokenizer.json.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/tokenizer/fields.h"
#include "core/tokenizer/regex.h"

namespace regroup::tokenizer {

class Pattern {
 public:
  explicit Pattern(const Fields& fields);
  std::vector<Match> matches(std::string_view text) const;
  // UserError for a result that is far longer than `text`.
  std::string replace(std::string_view text, std::string_view content) const;
  const std::optional<std::string>& literal() const { return literal_; }
  const std::optional<Regex>& regex() const { return regex_; }

 private:
  std::optional<std::string> literal_;
  std::optional<Regex> regex_;
};

// UserError if one step after the other has made very much of a text: a hostile file must not choose how
// much.
void refuse_growth(std::size_t before, std::size_t after);

}  // namespace regroup::tokenizer
