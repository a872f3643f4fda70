// Tokens that a model has drawn or written, on disk until the conversion that asked for them is complete:
// making them again may take hours.
#pragma once

#include <filesystem>
#include <functional>

#include "convert/calibration.h"
#include "core/base/json.h"

namespace regroup::convert {

// Those in the file at `path` if they were made by the same `recipe`; else what `make` gives, which then lies
// there. UserError if the path is taken by something else.
CalibrationTokens kept_tokens(const std::filesystem::path& path, const Json& recipe,
                              const std::function<CalibrationTokens()>& make);

}  // namespace regroup::convert
