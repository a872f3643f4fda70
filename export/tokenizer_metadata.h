// The tokenizer as GGUF has it: tokenizer.ggml.*.
#pragma once

#include <cstdint>
#include <filesystem>

#include "core/gguf/format.h"
#include "core/tokenizer/vocabulary.h"

namespace regroup::exporting {

// `vocab_size` ids: a model's vocabulary may be larger than its tokenizer's ("[PAD7]" fills it up) or, where
// tokens were added to the tokenizer alone, smaller. `where` names the tokenizer in the UserError for one
// that llama.cpp cannot follow.
gguf::Metadata tokenizer_metadata(const tokenizer::Vocabulary& vocabulary, std::int64_t vocab_size,
                                  const std::filesystem::path& where);

// tokenizer.chat_template, where the model directory has one: chat_template.jinja, or the text of that name
// in tokenizer_config.json.
void add_chat_template(const std::filesystem::path& directory, gguf::Metadata& metadata);

}  // namespace regroup::exporting
