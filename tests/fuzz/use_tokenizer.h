// What every tokenizer promises, whatever it was read from.
#pragma once

#include <string_view>
#include <vector>

#include "core/tokenizer/tokenizer.h"
#include "tests/fuzz/support.h"

namespace regroup::fuzz {

// Ids are inside the vocabulary, which can be exported whole, and anything can be decoded.
inline void use(const tokenizer::Tokenizer& tokenizer) {
  constexpr std::string_view kText =
      "The can't\n\n  a1234 \xe2\x96\x81\xc3\xa9\xe4\xb8\x80\xf0\x9f\x98\x80 <s> b\xff";
  const auto size = tokenizer.vocab_size();
  const auto ids = tokenizer.encode(kText);
  for (const tokenizer::Token id : ids) require(id >= 0 && id < size);
  if (const auto start = tokenizer.document_start()) require(*start >= 0 && *start < size);
  tokenizer.decode(ids);
  tokenizer.decode(std::vector<tokenizer::Token>{-1, 0, 1, 2, 1 << 30});
  require(static_cast<std::int64_t>(tokenizer.vocabulary().pieces.size()) == size);
}

}  // namespace regroup::fuzz
