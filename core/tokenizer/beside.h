// The tokenizer of a file of weights that holds none: llama2.c's .bin (core/family/llama2c_file.h).
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

namespace regroup::tokenizer {

// Whether a path is one: a file whose name ends in ".bin".
bool is_weights_file(const std::filesystem::path& path);

// The vocab_size of its header.
std::int64_t vocabulary_of_weights(const std::filesystem::path& weights);

// The SentencePiece model in the same directory: tokN.model, N its vocabulary's size, as llama2.c's
// tokenizer.py names those it trains, else tokenizer.model. None where neither is there.
std::optional<std::filesystem::path> find_tokenizer_beside(const std::filesystem::path& weights);

// The same; UserError, saying what would be taken, where there is none.
std::filesystem::path tokenizer_beside(const std::filesystem::path& weights);

}  // namespace regroup::tokenizer
