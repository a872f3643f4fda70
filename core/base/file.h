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
  // The same past the page cache where the file system can do that, and unless a file to be read is in the
  // cache anyway. Offsets, sizes and addresses of the bytes are then multiples of kAlignment (a read at the
  // file's end may ask for more than there is).
  static File open_for_streaming(const std::filesystem::path& path);
  static File create_for_streaming(const std::filesystem::path& path);
  static constexpr std::size_t kAlignment = 4096;
  File(File&& other) noexcept;
  File& operator=(File&& other) noexcept;
  ~File();

  const std::filesystem::path& path() const { return path_; }
  std::uint64_t size() const;
  // Exactly `out.size()` bytes from `offset`; fewer is an error that says so.
  void read_at(std::uint64_t offset, std::span<std::byte> out) const;
  // The same, but fewer at the file's end. Returns how many.
  std::size_t read_up_to(std::uint64_t offset, std::span<std::byte> out) const;
  void append(std::span<const std::byte> bytes);
  void append(std::string_view text);
  void write_at(std::uint64_t offset, std::span<const std::byte> bytes);
  void resize(std::uint64_t size);
  void sync();

 private:
  File(std::filesystem::path path, int descriptor) : path_(std::move(path)), descriptor_(descriptor) {}

  void bypass_cache();
  void return_to_cache() const;

  std::filesystem::path path_;
  int descriptor_ = -1;
};

void sync_directory(const std::filesystem::path& directory);

}  // namespace regroup
