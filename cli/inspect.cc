// regroup inspect: what a model directory is.
#include <iostream>
#include <memory>

#include "cli/command.h"
#include "core/family/describe.h"

namespace regroup::cli {

Run declare_inspect(CLI::App& app);

Run declare_inspect(CLI::App& app) {
  struct Options {
    std::filesystem::path model;
    family::DescribeOptions describe;
    bool json = false;
  };
  auto options = std::make_shared<Options>();
  add_positional(app, "model", options->model, "directory of the model")->required();
  app.add_option("--context", options->describe.context,
                 "tokens to size the cache for (default: all positions)");
  app.add_option("--batch", options->describe.batch, "sequences to size the cache for");
  app.add_flag("--json", options->json, "for a program to read");
  return [options](const Invocation&) {
    const Json description = family::describe(family::open_model(options->model), options->describe);
    std::cout << (options->json ? to_text(description) : family::description_text(description));
    return 0;
  };
}

}  // namespace regroup::cli
