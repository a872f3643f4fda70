#include "core/data/tokenize.h"

#include "core/base/error.h"
#include "core/base/hash.h"
#include "core/base/output_file.h"
#include "core/base/version.h"
#include "core/data/formats.h"

namespace regroup::data {
namespace {

namespace fs = std::filesystem;

const DataFormat& writable_format(const std::string& name) {
  const DataFormat& format = data_format(name);
  if (format.write == nullptr)
    throw UserError({.where = "--format " + name,
                     .what = "can only be read",
                     .expected = "one of " + writable_formats()});
  return format;
}

Json file_record(const fs::path& path) {
  return {{"path", path.string()}, {"bytes", fs::file_size(path)}, {"sha256", sha256_of_file(path)}};
}

Json record_of(const TokenizeOptions& options, const TokenStream& stream, std::int64_t vocab_size,
               const std::vector<fs::path>& written, const Json& resolved) {
  Json tokenizer = Json::array(), sources = Json::array(), files = Json::array();
  for (const fs::path& file : tokenizer::tokenizer_files(options.model))
    tokenizer.push_back(file_record(file));
  for (const fs::path& named : options.files)
    for (const fs::path& file : files_behind(named)) sources.push_back(file_record(file));
  for (const fs::path& file : written) files.push_back(file_record(file));
  return {{"command", "tokenize"},
          {"version", version()},
          {"commit", commit()},
          {"options", resolved},
          {"tokenizer", tokenizer},
          {"vocab_size", vocab_size},
          {"sources", sources},
          {"convention", stream.convention},
          {"tokens", stream.tokens.size()},
          {"documents", stream.document_starts.size()},
          {"text_bytes", stream.text_bytes},
          {"format", options.format},
          {"files", files}};
}

}  // namespace

Tokenized tokenize(const TokenizeOptions& options, const Json& resolved) {
  const DataFormat& format = writable_format(options.format);
  std::vector<fs::path> written = format.outputs(options.out);
  const fs::path record = options.out.string() + ".json";
  for (const fs::path& file : written) require_output_file(file, "OUT", options.overwrite);
  require_output_file(record, "OUT", options.overwrite);
  for (const fs::path& file : written) require_apart(file, options.files);
  require_apart(record, options.files);

  const auto tokenizer = tokenizer::open_tokenizer(options.model);
  ReadOptions read = options.read;
  read.vocab_size = tokenizer->vocab_size();
  const TokenStream stream = read_tokens(options.files, tokenizer.get(), read);
  format.write(options.out, stream, read.vocab_size, options.overwrite);
  write_output_file(record, to_text(record_of(options, stream, read.vocab_size, written, resolved)),
                    options.overwrite);
  written.push_back(record);
  return {.tokens = static_cast<std::int64_t>(stream.tokens.size()),
          .documents = static_cast<std::int64_t>(stream.document_starts.size()),
          .text_bytes = stream.text_bytes,
          .convention = stream.convention,
          .written = written};
}

std::string writable_formats() {
  std::vector<std::string> names;
  for (const DataFormat& format : data_formats())
    if (format.write != nullptr) names.emplace_back(format.name);
  return list_some(names);
}

}  // namespace regroup::data
