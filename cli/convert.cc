// regroup convert MODEL OUT --kv-heads G
#include "convert/convert.h"

#include <iostream>
#include <memory>

#include "cli/command.h"
#include "core/base/error.h"
#include "core/base/units.h"

namespace regroup::cli {
namespace {

struct Flags {
  std::string model, output, method = "mean", dtype, max_shard_size;
  std::int64_t kv_heads = 0;
  bool plan = false;
};

convert::ConvertOptions options_from(const Flags& flags, const CommonOptions& common) {
  convert::ConvertOptions options{.model = flags.model,
                                  .output = flags.output,
                                  .plan = {},
                                  .seed = common.seed,
                                  .overwrite = common.overwrite};
  options.plan = {.kv_heads = flags.kv_heads, .method = flags.method, .dtype = {}, .max_shard_size = {}};
  if (!flags.dtype.empty()) options.plan.dtype = checkpoint::parse_float_dtype(flags.dtype, "--dtype");
  if (!flags.max_shard_size.empty())
    options.plan.max_shard_size = parse_size(flags.max_shard_size, "--max-shard-size");
  return options;
}

}  // namespace

Run declare_convert(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  add_positional(app, "model", flags->model, "directory of the checkpoint to convert")->required();
  add_positional(app, "output", flags->output, "directory to write");
  app.add_option("--kv-heads", flags->kv_heads, "key/value heads of the result; must divide the source's")
      ->required();
  app.add_option("--method", flags->method, convert::method_help());
  app.add_option("--dtype", flags->dtype,
                 "fp32, fp16 or bf16: type of the written weights (default: as stored)");
  app.add_option("--max-shard-size", flags->max_shard_size,
                 "such as 5GB (default: files as the source has them)");
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
