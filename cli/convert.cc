// regroup convert MODEL OUT --kv-heads G
#include "convert/convert.h"

#include <fmt/format.h>

#include <iostream>
#include <memory>

#include "cli/command.h"
#include "core/base/error.h"
#include "core/base/units.h"

namespace regroup::cli {
namespace {

struct Flags {
  std::string model, output, method, grouping, dtype, max_shard_size;
  double grouping_seconds = convert::PlanOptions().grouping_seconds;
  convert::CalibrationOptions calibration;
  bool no_bos = false;
  std::string refit, memory, target = convert::PlanOptions().target;
  std::int64_t kv_heads = 0;
  bool plan = false;
};

convert::ConvertOptions options_from(const Flags& flags, const CommonOptions& common) {
  convert::ConvertOptions options{.model = flags.model,
                                  .output = flags.output,
                                  .plan = {},
                                  .seed = common.seed,
                                  .overwrite = common.overwrite};
  options.plan = {.kv_heads = flags.kv_heads,
                  .method = flags.method,
                  .grouping = flags.grouping,
                  .grouping_seconds = flags.grouping_seconds,
                  .refit = flags.refit,
                  .dtype = {},
                  .max_shard_size = {},
                  .target = flags.target};
  options.calibration = flags.calibration;
  options.calibration.document_start = !flags.no_bos;
  if (!flags.memory.empty()) options.calibration.memory = parse_size(flags.memory, "--memory");
  options.device = common.device;
  if (!flags.dtype.empty()) options.plan.dtype = checkpoint::parse_float_dtype(flags.dtype, "--dtype");
  if (!flags.max_shard_size.empty())
    options.plan.max_shard_size = parse_size(flags.max_shard_size, "--max-shard-size");
  return options;
}

}  // namespace

Run declare_convert(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  add_positional(app, "model", flags->model,
                 "directory of the checkpoint to convert, or a .bin file of llama2.c")
      ->required();
  add_positional(app, "output", flags->output, "directory to write");
  app.add_option("--kv-heads", flags->kv_heads, "key/value heads of the result; must divide the source's")
      ->required();
  app.add_option("--method", flags->method, convert::method_help());
  app.add_option(
      "--grouping", flags->grouping,
      "which heads share one: contiguous; cost (those that lose least by it); or a JSON file, such "
      "as the regroup.json of another conversion (default: the method's own)");
  app.add_option("--grouping-seconds", flags->grouping_seconds,
                 "for the search of groups by cost, all layers together, at a nominal speed")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--calibration", flags->calibration.files,
                 "text or token shards like what the model was trained on: merges better for having seen it");
  app.add_option("--calibration-format", flags->calibration.format,
                 "of --calibration: auto, or a format's name");
  app.add_flag("--generate-calibration", flags->calibration.generate,
               "in place of --calibration: text that the model writes itself; the whole model is in memory "
               "for it, and a large one takes hours on a CPU");
  app.add_flag("--no-bos", flags->no_bos, "documents do not start with the tokenizer's BOS");
  app.add_flag("--weights-only", flags->calibration.weights_only,
               "look at nothing but weights: seconds, but without text the default looks at what the model "
               "makes of tokens drawn at random, and loses far less");
  app.add_option("--calibration-tokens", flags->calibration.tokens,
                 fmt::format("tokens to look at, of text or drawn (0: {})", convert::kCalibrationTokens))
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option(
         "--first-position-weight", flags->calibration.first_position_weight,
         "what a window's first position, a model's attention sink, counts in statistics and errors: 1 "
         "as much as others, 0 nothing")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  app.add_option("--refit", flags->refit,
                 "after the merge: none, or a list such as ridge,reconstruct of " + convert::refit_help() +
                     " (default: " + std::string(convert::best_refit()) + "; none for weights alone)");
  app.add_option(
      "--memory", flags->memory,
      "such as 8GB: hidden states of the text that do not fit are kept on disk (default: most of what "
      "the machine has left)");
  app.add_option("--dtype", flags->dtype,
                 "fp32, fp16 or bf16: type of the written weights (default: as stored)");
  app.add_option("--max-shard-size", flags->max_shard_size,
                 "such as 5GB (default: files as the source has them)");
  app.add_option("--target", flags->target,
                 "architecture of the result: auto (one that engines load, if there is one), same, own, phi, "
                 "starcoder2 or gpt_bigcode")
      ->capture_default_str();
  app.add_flag("--plan", flags->plan, "say what would be done, and write nothing");
  return [flags](const Invocation& invocation) {
    const convert::ConvertOptions options = options_from(*flags, invocation.common);
    if (!flags->plan && flags->output.empty())
      throw UserError({.where = "regroup convert",
                       .what = "missing output",
                       .remedy = "Name a directory to write, or use --plan"});
    std::cout << (flags->plan ? convert::describe(options) : convert::convert(options, invocation.options));
    return 0;
  };
}

}  // namespace regroup::cli
