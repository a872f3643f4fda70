// The formats of bare token ids in one file: rows "llm.c" and "nanogpt" of data_formats(). Neither marks
// documents: a shard is one document.
#pragma once

#include <filesystem>
#include <span>
#include <vector>

#include "core/data/token_stream.h"

namespace regroup::data {

bool is_llmc(const std::filesystem::path& path);
void read_llmc(const std::filesystem::path& path, const tokenizer::Tokenizer* tokenizer,
               const ReadOptions& options, TokenStream& stream);
void write_llmc(const std::filesystem::path& path, const TokenStream& stream, std::int64_t vocab_size,
                bool overwrite);

void read_nanogpt(const std::filesystem::path& path, const tokenizer::Tokenizer* tokenizer,
                  const ReadOptions& options, TokenStream& stream);
void write_nanogpt(const std::filesystem::path& path, const TokenStream& stream, std::int64_t vocab_size,
                   bool overwrite);

// Both write this one file.
std::vector<std::filesystem::path> one_file(const std::filesystem::path& path);

}  // namespace regroup::data
