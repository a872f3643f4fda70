#include "core/base/memory.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <optional>
#include <sstream>
#include <string>

namespace regroup {
namespace {

namespace fs = std::filesystem;
constexpr std::uint64_t kUnlimited = std::numeric_limits<std::uint64_t>::max();

// The number after `key` in a file of "key value" lines; the first number of the file when `key` is empty.
std::optional<std::uint64_t> number_in(const fs::path& file, const std::string& key = {}) {
  std::ifstream stream(file);
  for (std::string line; std::getline(stream, line);) {
    std::istringstream words(line);
    std::string word;
    std::uint64_t value = 0;
    if (!key.empty() && (!(words >> word) || word != key)) continue;
    if (words >> value) return value;
    if (key.empty()) return std::nullopt;  // "max"
  }
  return std::nullopt;
}

std::uint64_t left_in_group(const fs::path& group, const char* limit_file, const char* use_file,
                            const char* droppable) {
  const auto limit = number_in(group / limit_file), use = number_in(group / use_file);
  if (!limit || !use) return kUnlimited;
  const std::uint64_t dropped = std::min(*use, number_in(group / "memory.stat", droppable).value_or(0));
  const std::uint64_t held = *use - dropped;
  return *limit > held ? *limit - held : 0;
}

// A group and all above it, up to the mount point, which is a group of its own inside a container.
template <typename Left>
std::uint64_t least_up_the_tree(const fs::path& mount, const std::string& group, Left left) {
  std::uint64_t least = left(mount);
  for (fs::path at = fs::path(group).relative_path(); !at.empty(); at = at.parent_path())
    least = std::min(least, left(mount / at));
  return least;
}

std::uint64_t left_in_control_groups(const fs::path& root) {
  std::uint64_t least = kUnlimited;
  std::ifstream groups(root / "proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {  // "0::/path" (v2), "4:memory:/path" (v1)
    const auto first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1),
                      path = line.substr(second + 1);
    if (controllers.empty())
      least = std::min(least, least_up_the_tree(root / "sys/fs/cgroup", path, [](const fs::path& group) {
                         return left_in_group(group, "memory.max", "memory.current", "inactive_file");
                       }));
    else if (("," + controllers + ",").find(",memory,") != std::string::npos)
      least =
          std::min(least, least_up_the_tree(root / "sys/fs/cgroup/memory", path, [](const fs::path& group) {
                     return left_in_group(group, "memory.limit_in_bytes", "memory.usage_in_bytes",
                                          "total_inactive_file");
                   }));
  }
  return least;
}

}  // namespace

std::uint64_t available_host_memory(const fs::path& root) {
  const std::uint64_t machine = number_in(root / "proc/meminfo", "MemAvailable:").value_or(0) * 1024;
  return std::min(machine, left_in_control_groups(root));
}

std::uint64_t resident_host_memory(const fs::path& root) {
  return number_in(root / "proc/self/status", "VmRSS:").value_or(0) * 1024;
}

}  // namespace regroup
