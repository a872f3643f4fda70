// --config FILE: options from a TOML file, or from the provenance file of an earlier run (regroup.json).
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>

#include "core/base/json.h"

namespace regroup::cli {

// Gives every option of `app` that was not on the command line its value from `file`. A key that is no option
// is a UserError that names it and its file; a key that excludes a flag that was given is passed over (a flag
// beats the file).
void apply_config_file(CLI::App& app, const std::filesystem::path& file);

// All options with the values in force, keys as in a configuration file.
Json resolved_options(const CLI::App& app);

}  // namespace regroup::cli
