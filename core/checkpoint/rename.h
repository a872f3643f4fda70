// Renames that the standard library has no name for.
#pragma once

#include <filesystem>

namespace regroup::checkpoint {

enum class Renamed { kDone, kTargetExists, kUnsupported };

// Never replaces `to`. UserError naming `to` when it fails otherwise.
Renamed rename_to_new(const std::filesystem::path& from, const std::filesystem::path& to);

// Exchanges two names in one step: kDone or kUnsupported (by the file system or the kernel).
Renamed exchange_names(const std::filesystem::path& a, const std::filesystem::path& b);

// `to` becomes `aside`, then `from` becomes `to`; should that fail, `to` is put back.
void replace_in_two_steps(const std::filesystem::path& from, const std::filesystem::path& to,
                          const std::filesystem::path& aside);

}  // namespace regroup::checkpoint
