// Whole small files, and file descriptors that close themselves. Errors are UserErrors that name the path.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace regroup {

std::string read_text(const std::filesystem::path& path);

// Writes and syncs. Not atomic: callers write into a directory that nobody reads yet (checkpoint/output.h).
void write_text(const std::filesystem::path& path, std::string_view text);

class File {
 public:
  static File open_for_reading(const std::filesystem::path& path);
  static File create(const std::filesystem::path& path);  // must not exist
  File(File&& other) noexcept;
  File& operator=(File&& other) noexcept;
  ~File();

  const std::filesystem::path& path() const { return path_; }
  std::uint64_t size() const;
  // Exactly `out.size()` bytes from `offset`; fewer is an error that says so.
  void read_at(std::uint64_t offset, std::span<std::byte> out) const;
  void append(std::span<const std::byte> bytes);
  void append(std::string_view text);
  // Starts write-back of what was appended so far without waiting for it; sync() then has little left to do.
  void start_writeback();
  void sync();

 private:
  File(std::filesystem::path path, int descriptor) : path_(std::move(path)), descriptor_(descriptor) {}

  std::filesystem::path path_;
  int descriptor_ = -1;
  std::uint64_t appended_ = 0, writeback_from_ = 0;
};

void sync_directory(const std::filesystem::path& directory);

}  // namespace regroup
