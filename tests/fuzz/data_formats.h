// Which formats a fuzz target reads: all that there are.
#pragma once

#include <string>
#include <vector>

#include "core/data/formats.h"

namespace regroup::fuzz {

// The rows of data_formats() that hold text, or those that hold ids; and "auto". (A seed's first byte chooses
// among them: new rows go behind the others of their kind.)
inline std::vector<std::string> formats_to_read(bool is_text) {
  std::vector<std::string> names;
  for (const data::DataFormat& format : data::data_formats())
    if (format.is_text == is_text) names.emplace_back(format.name);
  names.emplace_back("auto");
  return names;
}

}  // namespace regroup::fuzz
