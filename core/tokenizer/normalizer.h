// What a tokenizer.json does to a text before it is cut into words ("normalizer").
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "core/base/json.h"

namespace regroup::tokenizer {

class Normalizer {
 public:
  virtual ~Normalizer() = default;
  virtual std::string normalize(std::string text) const = 0;

  // What becomes of a text that is cut before a space that stands between two letters, compared with the
  // whole: the parts of the same text, with the space kept (kKept; kAsciiKept: only between ASCII letters) or
  // made U+2581 (kSymbol); the same if the space is left out, since one is put before every text
  // (kSymbolPutFirst); or nobody knows.
  enum class Cut { kKept, kAsciiKept, kSymbol, kSymbolPutFirst, kUnknown };
  virtual Cut cut() const = 0;
};

// From the value of "normalizer"; null gives none. UserError, with `where`, for one that is not supported.
std::unique_ptr<const Normalizer> read_normalizer(const SortedJson& value, const std::string& where);

}  // namespace regroup::tokenizer
