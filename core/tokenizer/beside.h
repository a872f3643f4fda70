// The tokenizer of a model that is one file of weights (core/base/model_file.h), which holds none.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

namespace regroup::tokenizer {

// The vocab_size of its header.
std::int64_t vocabulary_of_weights(const std::filesystem::path& weights);

// The SentencePiece model in the same directory: tokN.model, N its vocabulary's size, as llama2.c's
// tokenizer.py names those it trains, else tokenizer.model. None where neither is there.
std::optional<std::filesystem::path> find_tokenizer_beside(const std::filesystem::path& weights);

// The same; UserError, saying what would be taken, where there is none.
std::filesystem::path tokenizer_beside(const std::filesystem::path& weights);

}  // namespace regroup::tokenizer
