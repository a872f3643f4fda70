// Text files to a token shard, with a record of where it came from.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/base/json.h"
#include "core/data/token_stream.h"

namespace regroup::data {

struct TokenizeOptions {
  std::filesystem::path model;               // directory with a tokenizer, or the tokenizer's file
  std::vector<std::filesystem::path> files;  // whatever read_tokens takes
  std::filesystem::path out;
  std::string format;  // a row of data_formats() that can be written
  ReadOptions read = {};
  bool overwrite = false;
};

struct Tokenized {
  std::int64_t tokens = 0, documents = 0, text_bytes = 0;
  std::string convention;
  std::vector<std::filesystem::path> written;  // the shard's files, then the record
};

// Writes the shard and beside it OUT.json: the tokenizer's and the sources' sha256, counts, convention,
// `resolved` options, version. Each file appears whole or not at all. UserError before any work if an output
// exists and `overwrite` is false.
Tokenized tokenize(const TokenizeOptions& options, const Json& resolved);

// The names of the formats that can be written, for --help.
std::string writable_formats();

}  // namespace regroup::data
