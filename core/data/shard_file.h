// Arrays of numbers inside token shards: little-endian, read in blocks, written whole.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/data/ids.h"

namespace regroup::data {

static_assert(std::endian::native == std::endian::little, "token shards are read as they lie in the file");

// Appends `count` ids of type Id that lie from `offset` on.
template <typename Id>
void append_ids(const File& file, std::uint64_t offset, std::uint64_t count, std::int64_t vocab_size,
                std::vector<Token>& tokens) {
  constexpr std::uint64_t kBlock = 1 << 20;
  tokens.reserve(tokens.size() + count);
  std::vector<Id> block(std::min(count, kBlock));
  for (std::uint64_t done = 0; done < count; done += block.size()) {
    block.resize(std::min(count - done, kBlock));
    file.read_at(offset + done * sizeof(Id), std::as_writable_bytes(std::span(block)));
    require_ids(std::span<const Id>(block), vocab_size, file.path(), static_cast<std::int64_t>(done));
    for (const Id id : block) tokens.push_back(static_cast<Token>(id));
  }
}

template <typename Number>
void append_number(std::vector<std::byte>& bytes, Number number) {
  const auto raw = std::as_bytes(std::span(&number, 1));
  bytes.insert(bytes.end(), raw.begin(), raw.end());
}

template <typename Id>
void append_tokens(std::vector<std::byte>& bytes, std::span<const Token> tokens) {
  bytes.reserve(bytes.size() + tokens.size() * sizeof(Id));
  for (const Token token : tokens) append_number(bytes, static_cast<Id>(token));
}

// What the header says must be what the file holds.
inline void require_size(const File& file, std::uint64_t expected, const std::string& because) {
  if (file.size() == expected) return;
  throw UserError({.where = file.path().string(),
                   .what = "the file has another size than its header says",
                   .expected = std::to_string(expected) + " bytes (" + because + ")",
                   .found = std::to_string(file.size()),
                   .remedy = "Was the download cut off?"});
}

}  // namespace regroup::data
