// Locks by which processes keep out of each other's way; the kernel lets go of them when a process ends.
#pragma once

#include <filesystem>

namespace regroup {

// Locks an open file for as long as `descriptor` is open; false if a live process holds it. `path` is its
// name, for the warning where the file system has no locks (some network ones): going on is better there than
// being of no use.
bool lock_file(int descriptor, const std::filesystem::path& path);

}  // namespace regroup
