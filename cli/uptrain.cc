#include "uptrain/uptrain.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <iostream>
#include <memory>

#include "cli/command.h"
#include "core/base/units.h"
#include "core/data/documents.h"

namespace regroup::cli {
namespace {

constexpr int kStopped = 5;  // exit code: asked to stop before the end; --resume goes on

// A CLI::Validator: changes the text, and says what is wrong with it, which is nothing.
std::string auto_is_zero(std::string& text) {
  if (text == "auto") text = "0";
  return "";
}

void declare_budget(CLI::App& app, uptrain::UptrainOptions& options) {
  CLI::Option* tokens = app.add_option("--tokens", options.tokens, "budget: tokens to train on");
  CLI::Option* steps = app.add_option("--steps", options.steps, "budget: optimizer steps");
  app.add_option("--fraction", options.fraction, "budget: share of the pre-training tokens, such as 0.05")
      ->excludes(tokens)
      ->excludes(steps->excludes(tokens));
  app.add_option("--pretrain-tokens", options.pretrain_tokens,
                 "what --fraction is of, where the model has no training_record.json");
}

void declare_objective(CLI::App& app, uptrain::UptrainOptions& options) {
  app.add_option("--teacher", options.teacher, "model to learn from: the one before its conversion");
  app.add_option("--loss", options.loss,
                 fmt::format("{}; default: kl with a teacher, else cross-entropy",
                             fmt::join(uptrain::loss_names(), ", ")));
  app.add_option("--temperature", options.temperature, "of both distributions in kl");
  app.add_option("--cross-entropy-share", options.cross_entropy_share, "of the next token's, in kl");
  app.add_option("--match-fraction", options.match_fraction,
                 "share of the steps that first match attention outputs layer by layer");
  app.add_option("--train", options.train,
                 fmt::format("{}, or a regular expression for names of weights",
                             fmt::join(uptrain::trained_part_names(), ", ")));
  app.add_flag("--freeze-embeddings", options.freeze_embeddings, "embeddings and output projection stay");
  app.add_option("--kv-lr-multiplier", options.kv_lr_multiplier, "of the learning rate of keys and values");
}

void declare_training(CLI::App& app, uptrain::UptrainOptions& options) {
  app.add_option("--sequence-length", options.sequence_length,
                 "tokens of a window; 0: what the model can take, at most 2048");
  app.add_option("--batch-tokens", options.batch_tokens, "tokens of a step; 0: by budget");
  app.add_option("--micro-batch", options.micro_batch,
                 "windows at a time; auto: as many as fit into memory, at most about 2048 tokens")
      ->transform(CLI::Validator(auto_is_zero, "N|auto"));
  app.add_flag("--recompute", options.recompute,
               "keep one activation a layer and compute the others again: less memory, a third more work; "
               "chosen with --micro-batch auto where memory asks for it");
  app.add_option("--optimizer", options.optimizer,
                 fmt::format("{} (muon: for matrices)", fmt::join(uptrain::optimizer_names(), ", ")));
  app.add_option("--lr", options.lr, "peak learning rate; 0: by model size");
  app.add_option(
      "--schedule", options.schedule,
      fmt::format("{} (1-sqrt: constant, then 1 - sqrt decay)", fmt::join(uptrain::schedule_names(), ", ")));
  app.add_option("--warmup", options.warmup, "share of the steps in which the rate rises");
  app.add_option("--precision", options.precision,
                 "of the arithmetic: bf16 or fp32; default: bf16 where it is fast; weights are kept in fp32");
  app.add_option("--weight-decay", options.weight_decay, "of matrices");
  app.add_option("--clip", options.clip, "largest gradient norm; 0: none");
  app.add_option(
      "--skip-outliers", options.skip_outliers,
      "skip steps whose loss or gradient is so many standard deviations above the last ones; 0: none");
}

void declare_course(CLI::App& app, uptrain::UptrainOptions& options) {
  app.add_option("--save-every", options.save_every, "steps between saved states; 0: a tenth of the run");
  app.add_option("--validate-every", options.validate_every,
                 "steps between validations; 0: a tenth of the run");
  app.add_option("--keep", options.keep, "saved states to keep, besides the best by validation loss");
  app.add_option("--finish", options.finish,
                 "the state that becomes the model: last, or best by validation loss");
  app.add_option("--time-limit", options.time_limit,
                 "minutes from the start after which the state is saved and the run stops; 0: none");
  app.add_flag("--tensorboard", options.tensorboard, "event files for TensorBoard, in --out");
  app.add_flag("--resume", options.resume, "go on from the newest state in --out");
  app.add_option("--dtype", options.dtype,
                 "of the finished weights: fp32, bf16, fp16; default: the source's");
  app.add_flag("--no-bos", options.no_bos, "documents do not start with the tokenizer's BOS");
  app.add_option("--data-format", options.data_format,
                 "of --data and --valid: auto, or the name of a format");
}

void print_summary(const uptrain::UptrainOptions& options, const uptrain::UptrainSummary& summary) {
  if (!summary.finished)
    std::cout << fmt::format("stopped after step {}; its state is saved, --resume goes on\n", summary.steps);
  std::cout << fmt::format("{}: {} steps, {} tokens and {}FLOP in {} ({} tokens/s), last loss {:.4f}\n",
                           options.out.string(), summary.steps, human_count(double(summary.tokens)),
                           human_count(summary.flops), human_seconds(summary.seconds),
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
  app.add_option("--data-weights", options->data_weights,
                 "share of each file of --data in what is trained on, such as 0.7 0.3");
  std::vector<std::string_view> rules;
  for (const data::DocumentRule& rule : data::document_rules()) rules.push_back(rule.name);
  app.add_option("--documents", options->documents,
                 fmt::format("how windows treat documents: {}", fmt::join(rules, ", ")));
  app.add_option("--valid", options->valid, "text or token shards to measure the loss on now and then");
  app.add_option("--out", options->out, "directory of the run, and of the finished model")->required();
  declare_budget(app, *options);
  declare_objective(app, *options);
  declare_training(app, *options);
  declare_course(app, *options);
  return [options](const Invocation& invocation) {
    options->device = invocation.common.device;
    options->seed = invocation.common.seed;
    options->overwrite = invocation.common.overwrite;
    options->resolved = invocation.options;
    const uptrain::UptrainSummary summary = uptrain::uptrain(*options);
    print_summary(*options, summary);
    return summary.finished ? 0 : kStopped;
  };
}

}  // namespace regroup::cli
