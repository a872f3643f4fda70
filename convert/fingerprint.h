// What work in progress depends on, beside it on disk: a run that starts again takes up only its own.
#pragma once

#include <string>

#include "core/base/json.h"
#include "core/family/model_directory.h"

namespace regroup::convert {

// The program, the device and the model: its configuration, and its files by name, size and time.
Json fingerprint(const family::ModelDirectory& model, const std::string& device);

// The keys under which two of them differ, joined by commas.
std::string differences(const Json& one, const Json& other);

}  // namespace regroup::convert
