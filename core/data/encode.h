// Documents to ids, by several threads.
#pragma once

#include <span>
#include <string_view>

#include "core/data/token_stream.h"

namespace regroup::data {

// Appends `documents` to `stream`, each with its document start if `options` asks for it. The ids do not
// depend on the number of threads.
void encode_documents(std::span<const std::string_view> documents, const tokenizer::Tokenizer& tokenizer,
                      const ReadOptions& options, TokenStream& stream);

// "documents apart by `how`, BOS (id 1) before each": what encode_documents does, for reports.
std::string convention_of(std::string_view how, const tokenizer::Tokenizer& tokenizer,
                          const ReadOptions& options);

}  // namespace regroup::data
