// Files read or written once, from beginning to end, with their SHA-256 on the way.
//
// Blocks go between disk and memory past the page cache where the file system can do that: for files that
// are passed over once, the cache's copies and bookkeeping cost more processor time than the hash. Threads
// beside read ahead, hash and write behind, so that the caller only moves bytes. Memory: four blocks of 8 MiB
// each way, less for small files.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <future>
#include <memory>
#include <span>
#include <string>

#include "core/base/file.h"
#include "core/base/hash.h"

namespace regroup {

// Memory that a disk can read and write directly.
class AlignedBytes {
 public:
  AlignedBytes() = default;
  explicit AlignedBytes(std::size_t size);  // rounded up to the alignment
  std::span<std::byte> span() const { return {data_.get(), size_}; }

 private:
  struct Free {
    void operator()(std::byte* data) const { std::free(data); }
  };
  std::unique_ptr<std::byte, Free> data_;
  std::size_t size_ = 0;
};

class HashedReader {
 public:
  explicit HashedReader(const std::filesystem::path& path);
  HashedReader(const HashedReader&) = delete;
  std::uint64_t size() const { return size_; }
  std::uint64_t position() const { return position_; }  // of the next byte
  void read(std::span<std::byte> out);
  void skip(std::uint64_t bytes);
  // Passes over what is left. Returns the file's SHA-256.
  std::string finish();

 private:
  struct Slot {
    AlignedBytes bytes;
    std::future<void> reading;
  };
  Slot& slot(std::uint64_t block) { return slots_[block % slots_.size()]; }
  std::span<const std::byte> block_bytes(std::uint64_t block);
  void start_reading(std::uint64_t block);
  void advance();
  std::span<const std::byte> next(std::uint64_t most);  // some of the bytes at position(), which moves

  File file_;
  std::uint64_t size_ = 0, position_ = 0, blocks_ = 0, entered_ = 0;  // blocks whose bytes were handed out
  Sha256 hash_;
  std::array<Slot, 4> slots_;
  std::future<void> hashing_;  // last: threads end before what they use
};

class HashedWriter {
 public:
  // A new file that will have `size` bytes.
  HashedWriter(const std::filesystem::path& path, std::uint64_t size);
  HashedWriter(const HashedWriter&) = delete;
  const std::filesystem::path& path() const { return file_.path(); }
  std::uint64_t size() const { return size_; }
  void append(std::span<const std::byte> bytes);
  // Checks that all bytes came, and syncs. Returns the file's SHA-256.
  std::string finish();

 private:
  struct Slot {
    AlignedBytes bytes;
    std::future<void> writing;
  };
  Slot& slot(std::uint64_t block) { return slots_[block % slots_.size()]; }
  void start_writing();

  File file_;
  std::uint64_t size_ = 0, position_ = 0;
  Sha256 hash_;
  std::array<Slot, 4> slots_;
  std::future<void> hashing_;
};

}  // namespace regroup
