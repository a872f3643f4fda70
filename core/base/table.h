// Tables of rows that options choose from by `name`.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/base/error.h"

namespace regroup {

template <typename Rows>
std::vector<std::string> names_of(const Rows& rows) {
  std::vector<std::string> names;
  for (const auto& row : rows) names.emplace_back(row.name);
  return names;
}

// The row of that name. UserError at `where` that lists the names: "no such `kind`".
template <typename Rows>
const auto& row_named(const Rows& rows, std::string_view name, std::string_view where,
                      std::string_view kind) {
  for (const auto& row : rows)
    if (row.name == name) return row;
  throw UserError({.where = std::string(where),
                   .what = "no such " + std::string(kind),
                   .expected = list_some(names_of(rows)),
                   .found = std::string(name)});
}

}  // namespace regroup
