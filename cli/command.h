// What a subcommand is made of, and what every subcommand shares.
//
// Every option is a flag and a key of the same name in a TOML file (--config): a flag beats the file, an
// unknown key is an error that names it. `required()` and `excludes()` of CLI11 are honoured after the file
// was read.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "core/base/json.h"

namespace regroup::cli {

struct CommonOptions {
  bool quiet = false;
  int threads = 0;  // 0: as many as there are cores
  std::string device = "cpu";
  std::uint64_t seed = 0;
  bool overwrite = false;
};

struct Invocation {
  CommonOptions common;
  Json options;  // every option as resolved, for the provenance file; can be fed back with --config
};

// Runs a parsed subcommand; the value is the program's exit code.
using Run = std::function<int(const Invocation&)>;

struct Command {
  std::string_view name, summary;
  // Declares the flags on `app` and returns what runs once they have values. The option struct lives in the
  // closure.
  Run (*declare)(CLI::App& app);
};

std::span<const Command> commands();  // in the order --help prints them

// Positional arguments are keys of a configuration file too.
template <typename T>
CLI::Option* add_positional(CLI::App& app, const std::string& name, T& value, const std::string& summary) {
  return app.add_option(name + ",--" + name, value, summary);
}

}  // namespace regroup::cli
