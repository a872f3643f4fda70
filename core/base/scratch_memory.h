// Memory that lies on a disk: for what is written once, read back piece by piece, and too large to be held.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

namespace regroup {

// A file without a name, mapped: no other program sees it, and the system frees it when this object goes or
// the process ends, however that is; nothing is left to clean up. Its pages are dropped from memory as others
// need the room.
class ScratchMemory {
 public:
  // `bytes` > 0 zeros on the disk of `directory`. UserError where it has no room or cannot be written.
  ScratchMemory(const std::filesystem::path& directory, std::uint64_t bytes);
  ~ScratchMemory();
  ScratchMemory(const ScratchMemory&) = delete;
  ScratchMemory& operator=(const ScratchMemory&) = delete;

  std::span<std::byte> bytes() const { return bytes_; }

 private:
  std::span<std::byte> bytes_;
};

}  // namespace regroup
