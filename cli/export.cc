// regroup export MODEL OUT.gguf --dtype T
#include "export/export.h"

#include <fmt/format.h>

#include <iostream>
#include <memory>

#include "cli/command.h"
#include "core/base/units.h"

namespace regroup::cli {
namespace {

void print(const exporting::ExportOptions& options, const exporting::Exported& done) {
  std::cout << fmt::format("{}  {}\nllama.cpp architecture {}, {} tensors, {}\nrecord: {}\n",
                           options.output.string(),
                           human_bytes(static_cast<double>(std::filesystem::file_size(options.output))),
                           done.architecture, done.tensors, done.dtype, done.record.string());
}

}  // namespace

Run declare_export(CLI::App& app) {
  struct Flags {
    std::string model, output, dtype;
  };
  auto flags = std::make_shared<Flags>();
  add_positional(
      app, "model", flags->model,
      "directory of the checkpoint; llama.cpp's " + exporting::architecture_help() + " are written")
      ->required();
  add_positional(app, "output", flags->output, "GGUF file to write")->required();
  app.add_option("--dtype", flags->dtype, exporting::dtype_help());
  return [flags](const Invocation& invocation) {
    const exporting::ExportOptions options{.model = flags->model,
                                           .output = flags->output,
                                           .dtype = flags->dtype,
                                           .overwrite = invocation.common.overwrite};
    print(options, exporting::export_gguf(options, invocation.options));
    return 0;
  };
}

}  // namespace regroup::cli
