#include "uptrain/uptrain.h"

#include <fmt/format.h>

#include <iostream>
#include <memory>

#include "cli/command.h"
#include "core/base/units.h"

namespace regroup::cli {
namespace {

void declare_budget(CLI::App& app, uptrain::UptrainOptions& options) {
  app.add_option("--tokens", options.tokens, "budget: tokens to train on");
  app.add_option("--steps", options.steps, "budget: optimizer steps");
  app.add_option("--fraction", options.fraction, "budget: share of the pre-training tokens, such as 0.05");
  app.add_option("--pretrain-tokens", options.pretrain_tokens,
                 "what --fraction is of, where the model has no training_record.json");
}

void declare_training(CLI::App& app, uptrain::UptrainOptions& options) {
  app.add_option("--sequence-length", options.sequence_length,
                 "tokens of a window; 0: what the model can take, at most 2048");
  app.add_option("--batch-tokens", options.batch_tokens, "tokens of a step; 0: by budget");
  app.add_option("--micro-batch", options.micro_batch, "windows at a time; 0: about 2048 tokens");
  app.add_option("--lr", options.lr, "peak learning rate; 0: by model size");
  app.add_option("--schedule", options.schedule, "1-sqrt (constant, then 1 - sqrt decay) or cosine");
  app.add_option("--warmup", options.warmup, "share of the steps in which the rate rises");
  app.add_option("--precision", options.precision,
                 "of the arithmetic: bf16 or fp32; weights are kept in fp32");
  app.add_option("--weight-decay", options.weight_decay, "of matrices");
  app.add_option("--clip", options.clip, "largest gradient norm; 0: none");
}

void declare_course(CLI::App& app, uptrain::UptrainOptions& options) {
  app.add_option("--save-every", options.save_every, "steps between saved states; 0: a tenth of the run");
  app.add_option("--validate-every", options.validate_every,
                 "steps between validations; 0: a tenth of the run");
  app.add_flag("--resume", options.resume, "go on from the newest state in --out");
  app.add_option("--dtype", options.dtype,
                 "of the finished weights: fp32, bf16, fp16; default: the source's");
  app.add_flag("--no-bos", options.no_bos, "documents do not start with the tokenizer's BOS");
  app.add_option("--data-format", options.data_format,
                 "of --data and --valid: auto, or the name of a format");
}

void print_summary(const uptrain::UptrainOptions& options, const uptrain::UptrainSummary& summary) {
  std::cout << fmt::format("{}: {} steps, {} tokens in {} ({} tokens/s), last loss {:.4f}\n",
                           options.out.string(), summary.steps, human_count(double(summary.tokens)),
                           human_seconds(summary.seconds),
                           human_count(double(summary.tokens) / summary.seconds), summary.last_loss);
  if (summary.first_validation_loss && summary.last_validation_loss)
    std::cout << fmt::format("validation loss {:.4f} -> {:.4f} nats per token\n",
                             *summary.first_validation_loss, *summary.last_validation_loss);
}

}  // namespace

Run declare_uptrain(CLI::App& app) {
  auto options = std::make_shared<uptrain::UptrainOptions>();
  add_positional(app, "model", options->model, "directory of the model to train, or a .bin file of llama2.c")
      ->required();
  app.add_option("--data", options->data, "text or token shards to train on")->required();
  app.add_option("--valid", options->valid, "text or token shards to measure the loss on now and then");
  app.add_option("--out", options->out, "directory of the run, and of the finished model")->required();
  declare_budget(app, *options);
  declare_training(app, *options);
  declare_course(app, *options);
  return [options](const Invocation& invocation) {
    options->device = invocation.common.device;
    options->seed = invocation.common.seed;
    options->overwrite = invocation.common.overwrite;
    options->resolved = invocation.options;
    print_summary(*options, uptrain::uptrain(*options));
    return 0;
  };
}

}  // namespace regroup::cli
