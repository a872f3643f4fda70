// What fuzz targets share.
#pragma once

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>

namespace regroup::fuzz {

inline void require(bool promise) {
  if (!promise) std::abort();
}

// A folder of this process, in memory-backed storage where there is any.
struct TemporaryFolder {
  std::filesystem::path path =
      (std::filesystem::is_directory("/dev/shm") ? std::filesystem::path("/dev/shm")
                                                 : std::filesystem::temp_directory_path()) /
      ("regroup-fuzz-" + std::to_string(::getpid()));
  TemporaryFolder() { std::filesystem::create_directory(path); }
  ~TemporaryFolder() { std::filesystem::remove_all(path); }
};

}  // namespace regroup::fuzz
