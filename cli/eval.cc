#include "eval/eval.h"

#include <fmt/format.h>

#include <iostream>
#include <memory>

#include "cli/command.h"
#include "core/base/units.h"
#include "eval/convention.h"
#include "eval/task.h"

namespace regroup::cli {

Run declare_eval(CLI::App& app) {
  auto options = std::make_shared<eval::Options>();
  auto no_bos = std::make_shared<bool>(false);
  auto memory = std::make_shared<std::string>();
  add_positional(app, "source", options->source,
                 "directory of the model that the others are compared with, or a .bin file of llama2.c")
      ->required();
  add_positional(app, "model", options->models, "directories of the models to compare");
  app.add_option("--data", options->data, "text or token shards to predict; not needed with --tasks");
  app.add_option("--data-format", options->data_format, "of --data: auto, or the name of a format");
  app.add_flag("--no-bos", *no_bos, "documents do not start with the tokenizer's BOS");
  app.add_option("--convention", options->convention, eval::convention_help());
  app.add_option("--window", options->window,
                 fmt::format("tokens a model sees at a time; 0: what the source can take, at most {}",
                             eval::kLargestDefaultWindow))
      ->check(CLI::NonNegativeNumber);
  app.add_option("--max-tokens", options->max_tokens, "score only so many, from the beginning; 0: all")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--batch", options->batch,
                 fmt::format("windows at a time; 0: about {} tokens", eval::kTokensAtATime))
      ->check(CLI::NonNegativeNumber);
  app.add_option("--dtype", options->dtype, "of the arithmetic: fp32, fp64 or bf16");
  app.add_option("--tasks", options->tasks, eval::task_help());
  app.add_option("--task-data", options->task_data, "directory of the files of --tasks without one");
  app.add_option("--max-examples", options->max_examples,
                 "score only so many of each task, from the beginning; 0: all")
      ->check(CLI::NonNegativeNumber);
  app.add_option(
      "--memory", *memory,
      "to take at most, such as 8GB (default: what is available): a larger model is run one layer at a time; "
      "hidden states beyond a quarter of it are kept in a temporary file, beside --json or in TMPDIR");
  app.add_option("--report", options->report, "write one self-contained HTML page");
  app.add_option("--json", options->json, "write all figures (docs/reports.md)");
  app.add_option("--markdown", options->markdown, "write the table and the findings");
  app.add_option("--junit", options->junit, "write the gates' verdicts as JUnit XML, for CI");
  app.add_option("--lm-eval-json", options->lm_eval_json,
                 "write the figures of one model in the shape of lm-eval's results");
  app.add_option("--per-token", options->per_token, "write every token's nats, [models, tokens], as .npy");
  app.add_option("--per-example", options->per_example,
                 "write what each model made of every example of --tasks, as JSON lines");
  app.add_option("--max-ppl-ratio", options->max_ppl_ratio,
                 "budget for the perplexity over the source's: exit 0 within, 1 beyond, 4 cannot tell");
  app.add_option("--max-kl", options->max_kl,
                 "budget for the mean KL divergence from the source, nats per token");
  app.add_option("--min-same-top", options->min_same_top,
                 "least share of tokens, 0 to 1, for which a model's first choice is the source's");
  app.add_option("--max-baseline-ratio", options->max_baseline_ratio,
                 "budget for the perplexity over the same model's in the --baseline");
  app.add_option("--baseline", options->baseline,
                 "an earlier run's --json file: say what changed since; models are matched by name");
  app.add_option("--bootstrap", options->bootstrap,
                 "intervals from so many resamples of the clusters (with --seed) beside the others; 0: none");
  app.add_option("--max-task-drop", options->max_task_drop,
                 "budget for each task: points of accuracy below the source's");
  app.add_option("--confidence", options->confidence, "of the budgets' decisions and of all intervals");
  return [options, no_bos, memory](const Invocation& invocation) {
    options->document_start = !*no_bos;
    if (!memory->empty()) options->memory = parse_size(*memory, "--memory");
    options->device = invocation.common.device;
    options->overwrite = invocation.common.overwrite;
    options->seed = invocation.common.seed;
    options->resolved = invocation.options;
    const eval::Result result = eval::evaluate(*options);
    std::cout << eval::terminal_text(result) << std::flush;
    eval::require_written(result);
    return eval::exit_code(result);
  };
}

}  // namespace regroup::cli
