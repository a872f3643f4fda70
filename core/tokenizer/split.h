// Cutting a text at matches, in the ways that tokenizer.json calls "behavior".
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/tokenizer/fields.h"
#include "core/tokenizer/regex.h"

namespace regroup::tokenizer {

enum class Behavior {
  kRemoved,             // matches are left out
  kIsolated,            // every match is a word
  kMergedWithPrevious,  // a match ends the word before it
  kMergedWithNext,      // a match begins the word after it
  kContiguous,          // matches in a row are one word
};

Behavior read_behavior(const Fields& fields, const char* key);

// Appends the parts of `text`, without empty ones. `inverted`: what is between the matches counts as matched.
void split(std::string_view text, std::span<const Match> matches, Behavior behavior, bool inverted,
           std::vector<std::string_view>& parts);

}  // namespace regroup::tokenizer
