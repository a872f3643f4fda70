#include "core/tokenizer/tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <span>

#include "core/base/error.h"
#include "core/base/hash.h"
#include "core/base/json.h"
#include "core/base/model_file.h"
#include "core/tokenizer/beside.h"
#include "core/tokenizer/kind.h"
#include "core/tokenizer/sentencepiece.h"
#include "core/tokenizer/tokenizer_files.h"

namespace regroup::tokenizer {
namespace {

constexpr const char* kSupported =
    "Supported are tokenizer.json (BPE, unigram), tokenizer.model (SentencePiece), vocab.json with "
    "merges.txt";

// The classes of HF transformers that are SentencePiece on the raw text and, unless told otherwise, start a
// document with BOS.
constexpr std::array<std::string_view, 4> kLlamaClasses = {"LlamaTokenizer", "LlamaTokenizerFast",
                                                           "CodeLlamaTokenizer", "CodeLlamaTokenizerFast"};

// "<s>" or {"content": "<s>", …}
std::optional<std::string> token_name(const Json& config, const char* key) {
  const auto found = config.find(key);
  if (found == config.end()) return std::nullopt;
  if (found->is_string()) return found->get<std::string>();
  if (found->is_object() && found->contains("content") && (*found)["content"].is_string())
    return (*found)["content"].get<std::string>();
  return std::nullopt;
}

std::optional<bool> flag(const Json& config, const char* key) {
  const auto found = config.find(key);
  if (found == config.end() || !found->is_boolean()) return std::nullopt;
  return found->get<bool>();
}

SentencePieceOptions read_options(const std::filesystem::path& file) {
  const Json config = read_json(file);
  if (!config.is_object()) throw UserError({.where = file.string(), .what = "not a JSON object"});
  const auto name = config.find("tokenizer_class");
  const std::string class_name =
      name != config.end() && name->is_string() ? name->get<std::string>() : "LlamaTokenizer";
  if (std::ranges::find(kLlamaClasses, class_name) == kLlamaClasses.end())
    throw UserError({.where = file.string(),
                     .what = "a kind of tokenizer that is not supported",
                     .expected = "LlamaTokenizer or CodeLlamaTokenizer",
                     .found = "\"tokenizer_class\": \"" + class_name + "\"",
                     .remedy = kSupported});
  if (flag(config, "add_prefix_space") == false)
    throw UserError({.where = file.string(),
                     .what = "\"add_prefix_space\": false is not supported",
                     .expected = "a tokenizer that puts a space before every text"});
  return {.document_start = flag(config, "add_bos_token").value_or(true),
          .bos = token_name(config, "bos_token"),
          .eos = token_name(config, "eos_token")};
}

// tokenizer.model, and what the configuration beside it says.
std::unique_ptr<Tokenizer> open_tokenizer_model(const std::filesystem::path& file) {
  const std::filesystem::path config = file.parent_path() / "tokenizer_config.json";
  const bool has_config = file.filename() == "tokenizer.model" && std::filesystem::exists(config);
  return open_sentencepiece(file, has_config ? read_options(config) : SentencePieceOptions{});
}

const Kind* kind_in(const std::filesystem::path& directory) {
  for (const Kind& kind : kinds())
    if (std::ranges::all_of(
            kind.files, [&](const std::string& name) { return std::filesystem::exists(directory / name); }))
      return &kind;
  return nullptr;
}

[[noreturn]] void no_tokenizer(const std::filesystem::path& directory) {
  std::vector<std::string> found;
  for (const char* name : {"tokenizer_config.json", "vocab.json", "merges.txt", "vocab.txt", "spiece.model",
                           "sentencepiece.bpe.model"})
    if (std::filesystem::exists(directory / name)) found.emplace_back(name);
  throw UserError({.where = directory.string(),
                   .what = "no tokenizer that can be read",
                   .expected = "tokenizer.json, tokenizer.model, or vocab.json and merges.txt",
                   .found = found.empty() ? "no tokenizer file" : list_some(found)});
}

// A file by itself: as its name says, and SentencePiece's if that says nothing.
const Kind& kind_of_file(const std::filesystem::path& file) {
  for (const Kind& kind : kinds())
    if (file.filename() == kind.files.front()) return kind;
  const bool is_json = file.extension() == ".json";
  return kinds()[is_json ? 0 : 1];
}

std::unique_ptr<Tokenizer> open_beside(const std::filesystem::path& weights) {
  const std::filesystem::path file = tokenizer_beside(weights);
  auto tokenizer = open_tokenizer_model(file);
  const std::int64_t vocabulary = vocabulary_of_weights(weights);
  if (tokenizer->vocab_size() > vocabulary)
    throw UserError({.where = file.string(),
                     .what = "not the tokenizer of " + weights.string(),
                     .expected = fmt::format("at most {} pieces", vocabulary),
                     .found = std::to_string(tokenizer->vocab_size()),
                     .remedy = fmt::format("Put the right one there, as tok{}.model", vocabulary)});
  return tokenizer;
}

// Of every id that both have, beyond which one may be padded.
bool same_names(const std::filesystem::path& a, const std::filesystem::path& b) {
  const std::vector<Piece> ours = open_tokenizer(a)->vocabulary().pieces,
                           theirs = open_tokenizer(b)->vocabulary().pieces;
  return std::ranges::equal(std::span(ours).first(std::min(ours.size(), theirs.size())),
                            std::span(theirs).first(std::min(ours.size(), theirs.size())), {}, &Piece::text,
                            &Piece::text);
}

}  // namespace

const std::vector<Kind>& kinds() {
  static const std::vector<Kind> all = {{{"tokenizer.json"}, open_tokenizer_json},
                                        {{"tokenizer.model"}, open_tokenizer_model},
                                        {{"vocab.json", "merges.txt"}, open_vocab_and_merges}};
  return all;
}

std::unique_ptr<Tokenizer> open_tokenizer(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) throw UserError({.where = path.string(), .what = "does not exist"});
  if (is_model_file(path)) return open_beside(path);
  if (!std::filesystem::is_directory(path)) return kind_of_file(path).open(path);
  const Kind* kind = kind_in(path);
  if (kind == nullptr) no_tokenizer(path);
  return kind->open(path / kind->files.front());
}

std::vector<std::filesystem::path> tokenizer_files(const std::filesystem::path& path) {
  if (is_model_file(path)) {
    const auto beside = find_tokenizer_beside(path);
    return beside ? std::vector{*beside} : std::vector<std::filesystem::path>{};
  }
  const bool is_directory = std::filesystem::is_directory(path);
  const Kind* kind = is_directory ? kind_in(path) : &kind_of_file(path);
  if (kind == nullptr) return {};
  const std::filesystem::path directory = is_directory ? path : path.parent_path();
  std::vector<std::filesystem::path> files = {is_directory ? directory / kind->files.front() : path};
  for (std::size_t i = 1; i < kind->files.size(); ++i) files.push_back(directory / kind->files[i]);
  for (const char* name : {"tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"})
    if (std::filesystem::exists(directory / name)) files.push_back(directory / name);
  return files;
}

std::filesystem::path tokenizer_file(const std::filesystem::path& model, std::string_view name) {
  if (!is_model_file(model)) return model / name;
  const auto beside = find_tokenizer_beside(model);
  return name == "tokenizer.model" && beside ? *beside : std::filesystem::path();
}

std::optional<DifferingFiles> differing_tokenizers(const std::filesystem::path& a,
                                                   const std::filesystem::path& b) {
  std::optional<DifferingFiles> differing;
  bool comparable = false;
  for (const Kind& kind : kinds()) {
    std::optional<DifferingFiles> of_kind;
    bool both = true;
    for (const std::string& name : kind.files) {
      const DifferingFiles files{tokenizer_file(a, name), tokenizer_file(b, name)};
      both = both && std::filesystem::exists(files.a) && std::filesystem::exists(files.b);
      if (both && !of_kind && sha256_of_file(files.a) != sha256_of_file(files.b)) of_kind = files;
    }
    if (!both) continue;
    if (!of_kind) return std::nullopt;
    comparable = true;
    if (!differing) differing = of_kind;
  }
  const std::vector<std::filesystem::path> ours = tokenizer_files(a), theirs = tokenizer_files(b);
  if (comparable || ours.empty() || theirs.empty() || same_names(a, b)) return differing;
  return DifferingFiles{ours.front(), theirs.front()};
}

}  // namespace regroup::tokenizer
