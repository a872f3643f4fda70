// How much memory this process holds, and how much it may still take.
#pragma once

#include <cstdint>
#include <filesystem>

namespace regroup {

// The least of what the machine has available and what the control groups (v2 or v1) of this process have
// left; file pages that a group could drop count as left. `root` stands in for "/" in tests.
std::uint64_t available_host_memory(const std::filesystem::path& root = "/");

// What this process holds in memory.
std::uint64_t resident_host_memory(const std::filesystem::path& root = "/");

}  // namespace regroup
