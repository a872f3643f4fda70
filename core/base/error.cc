#include "core/base/error.h"

#include <fmt/format.h>

namespace regroup {
namespace {

std::string compose(const Mistake& mistake) {
  std::string text = mistake.where;
  if (!mistake.what.empty()) text += (text.empty() ? "" : ": ") + mistake.what;
  if (!mistake.expected.empty()) text += ": expected " + mistake.expected;
  if (!mistake.found.empty()) text += (mistake.expected.empty() ? ": found " : ", found ") + mistake.found;
  if (!mistake.remedy.empty()) text += ". " + mistake.remedy;
  return text;
}

}  // namespace

UserError::UserError(const Mistake& mistake) : std::runtime_error(compose(mistake)) {}

void check(bool condition, std::string_view why, std::source_location place) {
  if (condition) return;
  throw InternalError(fmt::format("{}:{}: {}", place.file_name(), place.line(), why));
}

std::string list_some(std::span<const std::string> items, std::size_t most) {
  std::string text;
  for (std::size_t i = 0; i < items.size() && i < most; ++i) text += (i ? ", " : "") + items[i];
  if (items.size() > most) text += fmt::format(" … and {} more", items.size() - most);
  return text;
}

}  // namespace regroup
