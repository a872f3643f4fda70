// File formats of token data, one row each. See uptraining engines' readers: llm.c dev/data/data_common.py,
// Megatron indexed_dataset.py, nanoGPT data/*/prepare.py.
//
//   text     UTF-8, documents apart by lines holding only <|endoftext|>
//   jsonl    one object a line, its "text" a document
//   llm.c    256 int32 (magic 20240520 version 1: uint16 ids; magic 20240801 version 7: uint32 ids; count),
//            then ids
//   megatron PREFIX.idx ("MMIDIDX\0\0", version 1, dtype code, lengths, pointers, documents) + PREFIX.bin
//   nanogpt  bare uint16 ids; has no header, so it is read only when it is named
//
// The first two may be compressed with gzip.
#pragma once

#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

#include "core/data/token_stream.h"

namespace regroup::data {

struct DataFormat {
  std::string_view name, summary;
  // True when the file at `path` surely is of this format; null for a format without a header.
  bool (*recognises)(const std::filesystem::path& path);
  // Appends the file's documents to `stream` and says how they were made in its convention.
  void (*read)(const std::filesystem::path& path, const tokenizer::Tokenizer* tokenizer,
               const ReadOptions& options, TokenStream& stream);
  // Writes the stream, each file whole or not at all; null: read only. `vocab_size` decides the width of ids.
  void (*write)(const std::filesystem::path& path, const TokenStream& stream, std::int64_t vocab_size,
                bool overwrite);
  // The files that write() makes (megatron: `path` names a pair); null with it.
  std::vector<std::filesystem::path> (*outputs)(const std::filesystem::path& path);
  bool is_text = false;  // needs a tokenizer to be read
};

// The files behind a name that --data takes: a format may keep its data in a pair.
std::vector<std::filesystem::path> files_behind(const std::filesystem::path& path);

std::span<const DataFormat> data_formats();
const DataFormat& data_format(std::string_view name);  // UserError lists the names

}  // namespace regroup::data
