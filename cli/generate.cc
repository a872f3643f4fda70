// regroup generate: text from a model, so that a person can look at what they have.
#include "core/model/generate.h"

#include <iostream>
#include <memory>

#include "cli/command.h"

namespace regroup::cli {

Run declare_generate(CLI::App& app);

Run declare_generate(CLI::App& app) {
  struct Options {
    model::TextModel model;
    std::string prompt;
    model::GenerateOptions generate;
    bool no_cache = false;
  };
  auto options = std::make_shared<Options>();
  add_positional(app, "model", options->model.directory,
                 "directory of the model and its tokenizer, or a .bin file of llama2.c")
      ->required();
  app.add_option("--prompt", options->prompt, "text to continue; it is printed first");
  app.add_option("--max-new-tokens", options->generate.max_new_tokens, "where to stop at the latest");
  app.add_option("--temperature", options->generate.temperature, "0: always the likeliest token");
  app.add_option("--top-p", options->generate.top_p,
                 "with --temperature: only the likeliest tokens that together have this probability");
  app.add_flag("--no-cache", options->no_cache, "read the whole text again for every token (for comparison)");
  app.add_option("--dtype", options->model.dtype,
                 "fp32, bf16, fp16 or fp64; auto: as the weights are stored");
  return [options](const Invocation& invocation) {
    options->model.device = invocation.common.device;
    options->generate.seed = invocation.common.seed;
    options->generate.use_cache = !options->no_cache;
    model::generate_text(options->model, options->prompt, options->generate,
                         [](std::string_view piece) { std::cout << piece << std::flush; });
    std::cout << std::endl;
    return 0;
  };
}

}  // namespace regroup::cli
