// regroup tokenize MODEL FILE… OUT --format NAME
#include "core/data/tokenize.h"

#include <fmt/format.h>

#include <iostream>
#include <memory>

#include "cli/command.h"
#include "core/base/error.h"
#include "core/base/units.h"

namespace regroup::cli {
namespace {

struct Flags {
  std::string model, format, data_format = "auto";
  std::vector<std::string> files;
  bool no_bos = false;
};

data::TokenizeOptions options_from(const Flags& flags, const CommonOptions& common) {
  if (flags.files.size() < 2)
    throw UserError({.where = "regroup tokenize",
                     .what = "missing a file to read or the file to write",
                     .expected = "MODEL FILE… OUT"});
  return {.model = flags.model,
          .files = {flags.files.begin(), flags.files.end() - 1},
          .out = flags.files.back(),
          .format = flags.format,
          .read = {.format = flags.data_format, .document_start = !flags.no_bos, .threads = common.threads},
          .overwrite = common.overwrite};
}

void print(const data::Tokenized& done) {
  std::cout << fmt::format("{} tokens in {} document{}", done.tokens, done.documents,
                           done.documents == 1 ? "" : "s");
  if (done.text_bytes > 0)
    std::cout << fmt::format(", {:.2f} bytes of text a token",
                             static_cast<double>(done.text_bytes) / static_cast<double>(done.tokens));
  std::cout << "\n" << done.convention << "\n";
  for (const auto& file : done.written)
    std::cout << fmt::format("{}  {}\n", file.string(),
                             human_bytes(static_cast<double>(std::filesystem::file_size(file))));
}

}  // namespace

Run declare_tokenize(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  add_positional(app, "model", flags->model, "directory with a tokenizer, or the tokenizer's file")
      ->required();
  add_positional(app, "files", flags->files,
                 "text, JSON lines or token shards; the last is the file to write")
      ->required();
  app.add_option("--format", flags->format, "of the file to write: " + data::writable_formats())->required();
  app.add_option("--data-format", flags->data_format, "of the files to read, where no header says it");
  app.add_flag("--no-bos", flags->no_bos, "do not start documents with BOS");
  return [flags](const Invocation& invocation) {
    print(data::tokenize(options_from(*flags, invocation.common), invocation.options));
    return 0;
  };
}

}  // namespace regroup::cli
