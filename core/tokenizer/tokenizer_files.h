// Tokenizers of Hugging Face's fast kind from the files of a model directory.
#pragma once

#include <filesystem>
#include <memory>

#include "core/tokenizer/tokenizer.h"

namespace regroup::tokenizer {

// Each takes tokenizer_config.json, special_tokens_map.json and added_tokens.json beside the file into
// account. UserError for content that cannot be read or is not supported.
std::unique_ptr<Tokenizer> open_tokenizer_json(const std::filesystem::path& file);

// vocab.json, with merges.txt beside it: GPT-2's kind, or what tokenizer_config.json's tokenizer_class makes
// of the two files.
std::unique_ptr<Tokenizer> open_vocab_and_merges(const std::filesystem::path& vocab_file);

}  // namespace regroup::tokenizer
