#include "convert/fingerprint.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>
#include <vector>

#include "core/base/version.h"

namespace regroup::convert {

namespace fs = std::filesystem;

Json fingerprint(const family::ModelDirectory& model, const std::string& device) {
  Json print = {
      {"version", version()}, {"commit", commit()}, {"device", device}, {"config", model.config_json}};
  for (const auto& file : model.checkpoint.files()) {
    const auto changed = fs::last_write_time(file.path()).time_since_epoch().count();
    print["files"].push_back({fs::absolute(file.path()).string(), fs::file_size(file.path()), changed});
  }
  return print;
}

std::string differences(const Json& one, const Json& other) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : one.items())
    if (!other.contains(key) || other[key] != value) keys.push_back(key);
  for (const auto& entry : other.items())
    if (!one.contains(entry.key())) keys.push_back(entry.key());
  return fmt::format("{}", fmt::join(keys, ", "));
}

}  // namespace regroup::convert
