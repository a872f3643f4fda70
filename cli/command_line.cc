#include "cli/command_line.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <torch/version.h>

#include <algorithm>
#include <iostream>
#include <memory>
#include <string_view>
#include <vector>

#include "cli/command.h"
#include "cli/config_file.h"
#include "core/base/error.h"
#include "core/base/log.h"
#include "core/base/version.h"
#include "core/model/device.h"

namespace regroup::cli {
namespace {

struct Declared {
  const Command* command = nullptr;
  CLI::App* app = nullptr;
  CommonOptions common;
  std::string config;
  Run run;
  std::vector<CLI::Option*> required;
};

void add_common(Declared& declared) {
  CLI::App& app = *declared.app;
  CommonOptions& common = declared.common;
  app.option_defaults()->always_capture_default();
  app.add_option("--config", declared.config,
                 "TOML file with these options, or a regroup.json of an earlier run");
  app.add_flag("--quiet", common.quiet, "only warnings and errors");
  app.add_option("--threads", common.threads, "0: as many as there are cores")->check(CLI::Range(0, 4096));
  app.add_option("--device", common.device, "cpu, cuda or cuda:N");
  app.add_option("--seed", common.seed, "of everything that is drawn");
  app.add_flag("--overwrite", common.overwrite, "replace an existing output once the new one is complete");
}

// CLI11 would look for required options before the configuration file is read; we look after. Without a file
// it keeps the last words for positional ones, which a list before them would take.
void take_over_required(Declared& declared, bool has_config) {
  for (CLI::Option* option : declared.app->get_options()) {
    if (!option->get_required()) continue;
    declared.required.push_back(option);
    option->required(option->get_positional() && !has_config);
  }
}

// What may have become of a positional argument that is missing.
std::string remedy_for_missing(const Declared& declared) {
  for (const CLI::Option* option : declared.app->get_options())
    if (option->get_expected_max() > 1 && option->results().size() > 1)
      return fmt::format("{} took {} words: give positional arguments before it", option->get_name(),
                         option->results().size());
  return fmt::format("'regroup {} --help' shows what it takes", declared.command->name);
}

void check_required(const Declared& declared) {
  std::vector<std::string> missing;
  for (const CLI::Option* option : declared.required)
    if (option->count() == 0)
      missing.push_back(option->get_positional() ? option->get_name(true) : option->get_name());
  if (missing.empty()) return;
  throw UserError({.where = fmt::format("regroup {}", declared.command->name),
                   .what = "missing " + list_some(missing),
                   .remedy = remedy_for_missing(declared)});
}

std::string version_text() {
  return fmt::format("regroup {} (commit {})\nLibTorch {}\n{}: {}", version(), commit(), TORCH_VERSION,
                     cpu_name(), cpu_features());
}

int run_command(Declared& declared) {
  if (!declared.config.empty()) apply_config_file(*declared.app, declared.config);
  check_required(declared);
  set_quiet(declared.common.quiet);
  model::open_device(declared.common.device);  // a device that is not there is an error for every command
  if (declared.common.threads > 0) at::set_num_threads(declared.common.threads);
  return declared.run({declared.common, resolved_options(*declared.app)});
}

// CLI11 would only say that a subcommand is required.
void check_command_name(int argc, const char* const* argv) {
  if (argc < 2 || argv[1][0] == '-') return;
  std::vector<std::string> names;
  for (const Command& command : commands()) names.emplace_back(command.name);
  if (std::ranges::find(names, argv[1]) != names.end()) return;
  throw UserError({.where = "command line",
                   .what = "no such command",
                   .expected = "one of " + list_some(names, 20),
                   .found = fmt::format("'{}'", argv[1])});
}

}  // namespace

int run(int argc, const char* const* argv) {
  CLI::App program(
      "Turns a multi-head-attention checkpoint into a grouped-query one, uptrains it, and reports what was "
      "lost.",
      "regroup");
  program.set_version_flag("--version", version_text);
  program.require_subcommand(1);
  const bool has_config = std::any_of(argv, argv + argc, [](std::string_view word) {
    return word == "--config" || word.starts_with("--config=");
  });
  std::vector<std::unique_ptr<Declared>> all;
  for (const Command& command : commands()) {
    auto& declared = *all.emplace_back(std::make_unique<Declared>());
    declared.command = &command;
    declared.app = program.add_subcommand(std::string(command.name), std::string(command.summary));
    add_common(declared);
    declared.run = command.declare(*declared.app);
    take_over_required(declared, has_config);
  }
  check_command_name(argc, argv);
  try {
    program.parse(argc, const_cast<char**>(argv));
  } catch (const CLI::Success& success) {
    return program.exit(success);
  } catch (const CLI::Error& error) {
    if (dynamic_cast<const CLI::RequiredError*>(&error))
      for (const auto& declared : all)
        if (declared->app->parsed()) check_required(*declared);
    throw UserError(
        {.where = "command line", .what = error.what(), .remedy = "'regroup --help' shows what there is"});
  }
  for (auto& declared : all)
    if (declared->app->parsed()) return run_command(*declared);
  check(false, "a subcommand was required but none was parsed");
  return 3;
}

}  // namespace regroup::cli
