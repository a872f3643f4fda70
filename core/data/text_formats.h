// The formats that hold text: rows "text" and "jsonl" of data_formats(). Either may be compressed with gzip,
// under any name (core/base/text_reader.h).
#pragma once

#include <filesystem>

#include "core/data/token_stream.h"

namespace regroup::data {

void read_text_file(const std::filesystem::path& path, const tokenizer::Tokenizer* tokenizer,
                    const ReadOptions& options, TokenStream& stream);

// Named .jsonl or .jsonl.gz, or the first line is an object with a "text" (one below 64 MiB: a longer line is
// recognised by the name only).
bool is_jsonl(const std::filesystem::path& path);
// Lines without anything are skipped. Line ends inside a "text" do not separate documents.
void read_jsonl_file(const std::filesystem::path& path, const tokenizer::Tokenizer* tokenizer,
                     const ReadOptions& options, TokenStream& stream);

}  // namespace regroup::data
