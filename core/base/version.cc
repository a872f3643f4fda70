#include "core/base/version.h"

#include <array>
#include <fstream>
#include <sstream>
#include <string_view>

#include "regroup_commit.h"

namespace regroup {
namespace {

// The value of the first line of /proc/cpuinfo that starts with `key`, or "".
std::string cpuinfo(std::string_view key) {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(key)) continue;
    const auto colon = line.find(": ");
    return colon == std::string::npos ? "" : line.substr(colon + 2);
  }
  return "";
}

}  // namespace

std::string version() {
  return REGROUP_VERSION;
}

std::string commit() {
  return REGROUP_COMMIT;
}

std::string cpu_name() {
  const std::string name = cpuinfo("model name");
  return name.empty() ? "unknown processor" : name;
}

std::string cpu_features() {
  constexpr std::array<std::string_view, 7> deciding = {"avx2",        "f16c",     "avx512f", "avx512_bf16",
                                                        "avx512_vnni", "amx_bf16", "amx_tile"};
  std::istringstream flags(cpuinfo("flags"));
  std::string found;
  for (std::string flag; flags >> flag;)
    for (const std::string_view name : deciding)
      if (flag == name) found += (found.empty() ? "" : " ") + flag;
  return found.empty() ? "none of note" : found;
}

}  // namespace regroup
