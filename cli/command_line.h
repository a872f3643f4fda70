// From argv to a running subcommand.
#pragma once

namespace regroup::cli {

// Parses, applies the configuration file, runs. Returns the exit code; throws UserError for what cannot be
// parsed.
int run(int argc, const char* const* argv);

}  // namespace regroup::cli
