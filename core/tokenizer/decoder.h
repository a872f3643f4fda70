// From pieces back to text: the "decoder" of a tokenizer.json.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/base/json.h"

namespace regroup::tokenizer {

class Decoder {
 public:
  virtual ~Decoder() = default;
  // Each step turns a row of texts into another one; what is left in the end is joined.
  virtual std::vector<std::string> decode(std::vector<std::string> texts) const = 0;
};

// From the value of "decoder"; null joins with spaces. UserError, with `where`, for one that is not
// supported.
std::unique_ptr<const Decoder> read_decoder(const SortedJson& value, const std::string& where);

}  // namespace regroup::tokenizer
