// Token shards of random ids, for tests that need data but no tokenizer.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "core/base/file.h"
#include "core/base/random.h"

namespace regroup::testing {

// Bare uint16 ids below `vocab` (the format "nanogpt").
inline void write_random_tokens(const std::filesystem::path& path, std::int64_t count, std::int64_t vocab,
                                std::uint64_t seed = 0) {
  RandomStream stream(seed, "tokens");
  std::string bytes;
  for (std::int64_t i = 0; i < count; ++i) {
    const auto id = static_cast<std::uint16_t>(stream.below(static_cast<std::uint64_t>(vocab)));
    bytes += static_cast<char>(id & 0xff);
    bytes += static_cast<char>(id >> 8);
  }
  write_text(path, bytes);
}

}  // namespace regroup::testing
