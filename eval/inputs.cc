#include "eval/inputs.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>

#include "core/base/error.h"
#include "core/base/hash.h"
#include "core/base/log.h"
#include "core/tokenizer/beside.h"
#include "eval/convention.h"

namespace regroup::eval {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kLargestHashedWeights = std::uint64_t{2} << 30;

// Of the file that decides the ids.
std::string tokenizer_hash(const fs::path& directory) {
  const std::vector<fs::path> files = tokenizer::tokenizer_files(directory);
  return files.empty() ? "" : sha256_of_file(files.front());
}

void require_same_tokens(const family::ModelDirectory& source, const family::ModelDirectory& model) {
  const auto refuse = [&](std::string what, std::string expected, std::string found) {
    throw UserError({.where = model.path.string(),
                     .what = std::move(what),
                     .expected = std::move(expected),
                     .found = std::move(found),
                     .remedy = "Evaluate it on its own and compare bits per byte"});
  };
  if (model.config.vocab_size != source.config.vocab_size)
    refuse("its vocabulary is not that of the source " + source.path.string(),
           fmt::format("{} ids", source.config.vocab_size), fmt::format("{}", model.config.vocab_size));
  if (const auto files = tokenizer::differing_tokenizers(source.path, model.path))
    refuse(fmt::format("its {} is not that of the source {}", files->b.filename().string(),
                       source.path.string()),
           "SHA-256 " + sha256_of_file(files->a).substr(0, 12) + "…",
           sha256_of_file(files->b).substr(0, 12) + "…");
}

std::int64_t choose_window(const Options& options, const std::vector<family::ModelDirectory>& models) {
  const std::int64_t window = options.window > 0
                                  ? options.window
                                  : std::min(models.front().config.max_positions, kLargestDefaultWindow);
  for (const family::ModelDirectory& model : models)
    if (window > model.config.max_positions)
      throw UserError(
          {.where = model.path.string(),
           .what = "a window is longer than its context",
           .expected = fmt::format("--window of at most {}", model.config.max_positions),
           .found = fmt::format("{}{}", window, options.window > 0 ? "" : ", what the source takes")});
  return window;
}

data::TokenStream read_stream(const Options& options, const family::ModelDirectory& source,
                              const tokenizer::Tokenizer* tokenizer) {
  data::TokenStream stream = data::read_tokens(options.data, tokenizer,
                                               {.format = options.data_format,
                                                .document_start = options.document_start,
                                                .vocab_size = source.config.vocab_size});
  if (stream.tokens.size() < 2)
    throw UserError({.where = list_some(stream.sources),
                     .what = "too short to score a token",
                     .expected = "at least 2 tokens",
                     .found = fmt::format("{}", stream.tokens.size())});
  return stream;
}

Specials specials_of(const tokenizer::Tokenizer& tokenizer, bool document_start) {
  const std::optional<data::Token> bos = tokenizer.vocabulary().bos;
  return {.document_start = document_start ? tokenizer.document_start() : std::nullopt,
          .prefix = bos ? bos : tokenizer.end_of_sequence()};
}

void read_data(const Options& options, Inputs& inputs) {
  const Convention& rule = convention(options.convention);
  std::unique_ptr<tokenizer::Tokenizer> tokenizer;
  if (rule.asks_specials || data::needs_tokenizer(options.data, options.data_format))
    tokenizer = tokenizer::open_tokenizer(options.source);
  inputs.stream = read_stream(options, inputs.models.front(), tokenizer.get());
  inputs.stream_tokens = std::ssize(inputs.stream.tokens);
  inputs.documents = std::ssize(inputs.stream.document_starts);
  const std::int64_t most = options.max_tokens + (rule.scores_first ? 0 : 1);
  if (options.max_tokens > 0 && most < inputs.stream_tokens)
    inputs.stream.tokens.resize(static_cast<std::size_t>(most));
  inputs.windows =
      rule.windows(inputs.stream, inputs.window,
                   rule.asks_specials ? specials_of(*tokenizer, options.document_start) : Specials{});
}

void read_tasks(const Options& options, Inputs& inputs) {
  inputs.tasks = open_tasks(options.tasks, options.task_data, options.max_examples);
  if (inputs.tasks.empty()) return;
  const auto tokenizer = tokenizer::open_tokenizer(options.source);
  inputs.requests =
      encode_tasks(inputs.tasks, *tokenizer, specials_of(*tokenizer, options.document_start).document_start,
                   inputs.window);
}

// The weight files one after the other, as one hash.
std::string hash_weights(const checkpoint::Checkpoint& checkpoint) {
  Sha256 hash;
  std::vector<std::byte> buffer(1 << 20);
  for (const checkpoint::TensorFile& reader : checkpoint.files()) {
    const File file = File::open_for_reading(reader.path());
    const std::uint64_t size = file.size();
    for (std::uint64_t at = 0; at < size; at += buffer.size()) {
      const auto part = std::span(buffer).first(std::min<std::uint64_t>(buffer.size(), size - at));
      file.read_at(at, part);
      hash.update(part);
    }
  }
  return hash.hex();
}

}  // namespace

Inputs open_inputs(const Options& options) {
  Inputs inputs;
  inputs.models.push_back(family::open_model(options.source));
  for (const fs::path& path : options.models) {
    inputs.models.push_back(family::open_model(path));
    require_same_tokens(inputs.models.front(), inputs.models.back());
  }
  inputs.tokenizer_sha256 = tokenizer_hash(options.source);
  inputs.window = choose_window(options, inputs.models);
  if (!options.data.empty()) read_data(options, inputs);
  read_tasks(options, inputs);
  return inputs;
}

std::unique_ptr<tokenizer::Tokenizer> open_reader(const fs::path& source) {
  if (tokenizer::tokenizer_files(source).empty()) return nullptr;
  try {
    return tokenizer::open_tokenizer(source);
  } catch (const UserError& error) {  // of ready shards, which need none: no reason to stop
    log_warning(std::string("passages show the ids of tokens, not text: ") + error.what());
    return nullptr;
  }
}

ModelFacts facts_of(const family::ModelDirectory& model) {
  const checkpoint::DType dtype = model.dtype();
  std::uint64_t bytes = 0;
  for (const checkpoint::TensorFile& file : model.checkpoint.files()) bytes += fs::file_size(file.path());
  return {.name = {},
          .path = model.path,
          .family = std::string(model.family->name),
          .dtype = std::string(checkpoint::dtype_name(dtype)),
          .parameters = model.parameters(),
          .layers = model.config.layers,
          .heads = model.config.heads,
          .kv_heads = model.config.kv_heads,
          .kv_bytes_per_token = family::kv_bytes_per_token(model.config, checkpoint::dtype_bits(dtype) / 8),
          .vocabulary = model.config.vocab_size,
          .weight_bytes = bytes,
          .config_sha256 = sha256_of_text(model.config_text),
          .weights_sha256 = bytes <= kLargestHashedWeights ? hash_weights(model.checkpoint) : ""};
}

void name_models(std::vector<ModelFacts>& facts) {
  std::map<std::string, int> uses;
  for (ModelFacts& model : facts) {
    const fs::path whole = fs::weakly_canonical(model.path);
    model.name = whole.has_filename() ? whole.filename().string() : whole.parent_path().filename().string();
    ++uses[model.name];
  }
  for (ModelFacts& model : facts)
    if (uses[model.name] > 1) model.name = model.path.string();
}

}  // namespace regroup::eval
