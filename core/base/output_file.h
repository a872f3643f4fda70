// Single files that appear whole or not at all: written into a sibling, synced, renamed to their name in one
// step. (Directories: checkpoint/output.h.)
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>

namespace regroup {

// For before the work starts: UserError naming `flag` if `path` exists and `overwrite` is false, if it is
// something other than a regular file, or if its directory is missing or cannot be written.
void require_output_file(const std::filesystem::path& path, std::string_view flag, bool overwrite);

// UserError if one of `inputs` is `output` or lies in it: what is read must outlive what is written, whatever
// --overwrite says. Links count as what they lead to.
void require_apart(const std::filesystem::path& output, std::span<const std::filesystem::path> inputs);

// Replaces what is there only with `overwrite`; UserError when it cannot be written, the old file untouched.
void write_output_file(const std::filesystem::path& path, std::span<const std::byte> bytes, bool overwrite);
void write_output_file(const std::filesystem::path& path, std::string_view text, bool overwrite);

// UserError naming `output` if the disk of `directory` has no room for as many more bytes: better said before
// the work than after it.
void require_space(const std::filesystem::path& output, const std::filesystem::path& directory,
                   std::uint64_t bytes);

// A large one, written piece by piece: the caller creates partial() and syncs it, then commit() renames it.
// partial() lies in a sibling folder .NAME.partial, locked while we live; what a killed run left there is
// removed by the next one, which says so.
class OutputFile {
 public:
  // UserError if another run is writing the same file. The checks above come first: require_output_file().
  OutputFile(std::filesystem::path path, bool overwrite);
  ~OutputFile();  // without commit(): leaves nothing
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  const std::filesystem::path& path() const { return path_; }
  const std::filesystem::path& partial() const { return partial_; }
  void commit();

 private:
  void remove_sibling() noexcept;

  std::filesystem::path path_, sibling_, lock_path_, partial_;
  bool overwrite_ = false;
  int lock_ = -1;
};

}  // namespace regroup
