// Ids from files: every one is looked at before it can index an embedding.
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <span>

#include "core/data/token_stream.h"

namespace regroup::data {

[[noreturn]] void refuse_id(const std::filesystem::path& path, std::int64_t position, std::int64_t id,
                            std::int64_t limit);

// UserError naming file, position and id unless all are in [0, vocab_size), or fit a Token where `vocab_size`
// is 0. `first` is the position of ids[0] in the file.
template <typename Id>
void require_ids(std::span<const Id> ids, std::int64_t vocab_size, const std::filesystem::path& path,
                 std::int64_t first = 0) {
  constexpr std::int64_t kTokens = std::int64_t{std::numeric_limits<Token>::max()} + 1;
  const std::int64_t limit = vocab_size > 0 ? vocab_size : kTokens;
  const auto wrong = std::ranges::find_if(ids, [&](Id id) {
    return static_cast<std::int64_t>(id) < 0 || static_cast<std::int64_t>(id) >= limit;
  });
  if (wrong != ids.end())
    refuse_id(path, first + (wrong - ids.begin()), static_cast<std::int64_t>(*wrong), limit);
}

}  // namespace regroup::data
