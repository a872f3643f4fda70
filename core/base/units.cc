#include "core/base/units.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <utility>

#include "core/base/error.h"

namespace regroup {

std::string human_bytes(double bytes) {
  constexpr std::array units = {"B", "KiB", "MiB", "GiB", "TiB"};
  std::size_t unit = 0;
  while (bytes >= 1024 && unit + 1 < units.size()) bytes /= 1024, ++unit;
  return fmt::format("{:.{}f} {}", bytes, bytes < 10 && unit > 0 ? 1 : 0, units[unit]);
}

std::string human_count(double count) {
  constexpr std::array units = {"", " k", " M", " G", " T"};
  std::size_t unit = 0;
  while (count >= 1000 && unit + 1 < units.size()) count /= 1000, ++unit;
  return unit == 0 ? fmt::format("{:.0f}", count) : fmt::format("{:.3g}{}", count, units[unit]);
}

std::string human_seconds(double seconds) {
  const auto whole = static_cast<std::int64_t>(std::llround(seconds));
  if (whole < 60) return fmt::format("{}s", whole);
  if (whole < 3600) return fmt::format("{}m{:02}s", whole / 60, whole % 60);
  return fmt::format("{}h{:02}m", whole / 3600, whole / 60 % 60);
}

std::uint64_t parse_size(std::string_view text, std::string_view flag) {
  constexpr std::array<std::pair<std::string_view, double>, 9> units = {{{"KIB", 1024.},
                                                                         {"MIB", 1048576.},
                                                                         {"GIB", 1073741824.},
                                                                         {"TIB", 1099511627776.},
                                                                         {"KB", 1e3},
                                                                         {"MB", 1e6},
                                                                         {"GB", 1e9},
                                                                         {"TB", 1e12},
                                                                         {"B", 1.}}};
  std::string upper;
  for (const char c : text) upper += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  double factor = 1;
  for (const auto& [suffix, value] : units) {
    if (!upper.ends_with(suffix)) continue;
    factor = value;
    upper.resize(upper.size() - suffix.size());
    break;
  }
  while (!upper.empty() && upper.back() == ' ') upper.pop_back();
  const bool digits = !upper.empty() && upper.find_first_not_of("0123456789.") == std::string::npos &&
                      upper.find('.') == upper.rfind('.') && upper != ".";
  const double bytes = digits ? std::stod(upper) * factor : 0;
  if (!(bytes >= 1 && bytes < 9e18))
    throw UserError({.where = std::string(flag),
                     .what = "not a size",
                     .expected = "a number with a unit, such as 5GB or 500MiB",
                     .found = fmt::format("'{}'", text)});
  return static_cast<std::uint64_t>(bytes);
}

}  // namespace regroup
