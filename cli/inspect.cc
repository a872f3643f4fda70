// regroup inspect: what a model directory is, or with --heads how alike its heads are and what merging costs.
#include <iostream>
#include <memory>

#include "cli/command.h"
#include "convert/convert.h"
#include "convert/inspect_heads.h"
#include "core/base/error.h"
#include "core/family/describe.h"

namespace regroup::cli {
namespace {

struct Options {
  std::filesystem::path model;
  family::DescribeOptions describe;
  bool heads = false;
  convert::InspectHeadsOptions inspect_heads;
  bool json = false;
};

// Options of the one view say nothing in the other.
void require_view(const CLI::App& app, bool heads) {
  for (const char* name : {"--kv-heads", "--method", "--report", "--calibration-tokens"})
    if (!heads && app.get_option(name)->count() > 0)
      throw UserError({.where = name, .what = "is about --heads", .remedy = "Give --heads too"});
  for (const char* name : {"--context", "--batch"})
    if (heads && app.get_option(name)->count() > 0)
      throw UserError(
          {.where = name, .what = "says nothing with --heads", .remedy = "Leave one of them out"});
}

}  // namespace

Run declare_inspect(CLI::App& app);

Run declare_inspect(CLI::App& app) {
  auto options = std::make_shared<Options>();
  add_positional(app, "model", options->model, "directory of the model, or a .bin file of llama2.c")
      ->required();
  app.add_option("--context", options->describe.context,
                 "tokens to size the cache for (default: all positions)");
  app.add_option("--batch", options->describe.batch, "sequences to size the cache for");
  app.add_flag(
      "--heads", options->heads,
      "how alike the heads are, what merging them costs at every number of key/value heads, and which "
      "would share one");
  app.add_option("--kv-heads", options->inspect_heads.kv_heads,
                 "with --heads: numbers of key/value heads to show the groups for (default: a middle one)");
  app.add_option("--method", options->inspect_heads.method, "with --heads: " + convert::method_help());
  app.add_option(
         "--calibration-tokens", options->inspect_heads.calibration_tokens,
         "with --heads: costs and groups by what the model makes of so many tokens drawn at random, as "
         "convert has them (0: from weights alone, as with its --weights-only)")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--report", options->inspect_heads.report,
                 "with --heads: write one self-contained HTML page");
  app.add_flag("--json", options->json, "for a program to read");
  return [options, &app](const Invocation& invocation) {
    require_view(app, options->heads);
    const auto print = [&](const Json& json, std::string (*text)(const Json&)) {
      std::cout << (options->json ? to_text(json) : text(json));
    };
    if (options->heads) {
      options->inspect_heads.model = options->model;
      options->inspect_heads.device = invocation.common.device;
      options->inspect_heads.seed = invocation.common.seed;
      options->inspect_heads.overwrite = invocation.common.overwrite;
      print(convert::inspect_heads(options->inspect_heads), convert::heads_text);
    } else {
      print(family::describe(family::open_model(options->model), options->describe),
            family::description_text);
    }
    return 0;
  };
}

}  // namespace regroup::cli
