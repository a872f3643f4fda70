// The one form in which training and evaluation see data: token ids in a row, and where documents start.
//
// Text becomes documents at lines that hold only `<|endoftext|>`, newlines stripped at both ends of each,
// empty ones dropped; each document is the tokenizer's document start (BOS) and its ids, nothing after it.
// Line ends are "\n" or "\r\n" and stay inside documents as they are; a byte order mark at the start of a
// file is no part of its text. Files follow each other in the order given, each starting a document. Ready
// token shards are taken as they are: nothing is added to them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "core/tokenizer/tokenizer.h"

namespace regroup::data {

using tokenizer::Token;

struct TokenStream {
  std::vector<Token> tokens;
  std::vector<std::int64_t> document_starts;  // ascending, first is 0; a shard without marks is one document
  std::int64_t text_bytes = 0;                // UTF-8 bytes of the documents; 0 when read from shards
  std::int64_t text_words = 0;                // of the documents, as Python's re.split(r"\s+") cuts them
  std::string convention;                     // one sentence for reports: how documents were made
  std::vector<std::string> sources;           // file names, as given
  std::vector<std::int64_t> source_starts;    // where each file's tokens start, as many as `sources`
};

struct ReadOptions {
  std::string format = "auto";  // a row of data_formats(), or "auto": by the file's header
  bool document_start = true;   // false: --no-bos
  std::int64_t vocab_size = 0;  // ids at or above it are refused, naming file and position; 0: not checked
  int threads = 0;              // 0: as many as there are cores; changes no id
};

// UserError for an empty file, text that is not UTF-8 (names the byte), a shard with a lying header, an id
// beyond the vocabulary. `tokenizer` may be null if all files are shards; text then is a UserError.
TokenStream read_tokens(const std::vector<std::filesystem::path>& files,
                        const tokenizer::Tokenizer* tokenizer, const ReadOptions& options);

// True if one of the files is text, so that reading them takes a tokenizer.
bool needs_tokenizer(const std::vector<std::filesystem::path>& files, const std::string& format);

// The documents of a text, as views into it.
std::vector<std::string_view> split_documents(std::string_view text);

// Without the line ends at both ends.
std::string_view strip_newlines(std::string_view text);

// UserError naming `where` and the offending byte's position unless `text` is UTF-8.
void require_utf8(std::string_view text, const std::string& where);

}  // namespace regroup::data
