// Megatron's indexed dataset, row "megatron" of data_formats():
//
//   PREFIX.bin   the ids, nothing else
//   PREFIX.idx   "MMIDIDX\0\0"  uint64 version 1  uint8 dtype  uint64 sequences S  uint64 document marks D
//                int32 lengths[S]  int64 byte_offsets[S]  int64 documents[D]
//
// Sequence i is `lengths[i]` ids from `byte_offsets[i]` on; document j is the sequences
// [documents[j], documents[j+1]). We read what Megatron's builder writes: sequences one after the other with
// nothing between them, documents from 0 to S. We write a document as one sequence. PREFIX, PREFIX.bin and
// PREFIX.idx all name the pair.
#pragma once

#include <filesystem>
#include <vector>

#include "core/data/token_stream.h"

namespace regroup::data {

bool is_megatron(const std::filesystem::path& path);
void read_megatron(const std::filesystem::path& path, const tokenizer::Tokenizer* tokenizer,
                   const ReadOptions& options, TokenStream& stream);
void write_megatron(const std::filesystem::path& path, const TokenStream& stream, std::int64_t vocab_size,
                    bool overwrite);
std::vector<std::filesystem::path> megatron_files(const std::filesystem::path& path);

}  // namespace regroup::data
