// Single files that appear whole or not at all: written into a sibling, synced, renamed to their name in one
// step. (Directories: checkpoint/output.h.)
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string_view>

namespace regroup {

// For before the work starts: UserError naming `flag` if `path` exists and `overwrite` is false, if it is
// something other than a regular file, or if its directory is missing or cannot be written.
void require_output_file(const std::filesystem::path& path, std::string_view flag, bool overwrite);

// Replaces what is there only with `overwrite`; UserError when it cannot be written, the old file untouched.
void write_output_file(const std::filesystem::path& path, std::span<const std::byte> bytes, bool overwrite);
void write_output_file(const std::filesystem::path& path, std::string_view text, bool overwrite);

}  // namespace regroup
