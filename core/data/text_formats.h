// The formats that hold text: rows "text" and "jsonl" of data_formats(). Either may be compressed with gzip,
// under any name (core/base/text_reader.h).
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "core/base/json.h"
#include "core/data/token_stream.h"

namespace regroup::data {

void read_text_file(const std::filesystem::path& path, const tokenizer::Tokenizer* tokenizer,
                    const ReadOptions& options, TokenStream& stream);

// Named .jsonl or .jsonl.gz, or the first line is an object with a "text" (one below 64 MiB: a longer line is
// recognised by the name only).
bool is_jsonl(const std::filesystem::path& path);
// Hands over every line of a file of JSON lines and what names it in messages; blank lines are skipped.
// UserError where the file is no UTF-8 or a line no JSON.
void for_each_json_line(const std::filesystem::path& path,
                        const std::function<void(const Json& value, const std::string& where)>& take);

// Lines without anything are skipped. Line ends inside a "text" do not separate documents.
void read_jsonl_file(const std::filesystem::path& path, const tokenizer::Tokenizer* tokenizer,
                     const ReadOptions& options, TokenStream& stream);

}  // namespace regroup::data
