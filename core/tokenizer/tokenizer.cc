#include "core/tokenizer/tokenizer.h"

#include <algorithm>
#include <array>

#include "core/base/error.h"
#include "core/base/json.h"
#include "core/tokenizer/sentencepiece.h"

namespace regroup::tokenizer {
namespace {

constexpr std::string_view kSupported = "SentencePiece (tokenizer.model) is supported";

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
                     .remedy = std::string(kSupported)});
  if (flag(config, "add_prefix_space") == false)
    throw UserError({.where = file.string(),
                     .what = "\"add_prefix_space\": false is not supported",
                     .expected = "a tokenizer that puts a space before every text"});
  return {.document_start = flag(config, "add_bos_token").value_or(true),
          .bos = token_name(config, "bos_token"),
          .eos = token_name(config, "eos_token")};
}

[[noreturn]] void no_tokenizer(const std::filesystem::path& directory) {
  std::vector<std::string> found;
  for (const char* name : {"tokenizer_config.json", "tokenizer.json", "vocab.json", "merges.txt", "vocab.txt",
                           "spiece.model", "sentencepiece.bpe.model"})
    if (std::filesystem::exists(directory / name)) found.emplace_back(name);
  throw UserError({.where = directory.string(),
                   .what = "no tokenizer that can be read",
                   .expected = "tokenizer.model",
                   .found = found.empty() ? "no tokenizer file" : list_some(found),
                   .remedy = std::string(kSupported)});
}

}  // namespace

std::unique_ptr<Tokenizer> open_tokenizer(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) throw UserError({.where = path.string(), .what = "does not exist"});
  const bool is_directory = std::filesystem::is_directory(path);
  const std::filesystem::path model = is_directory ? path / "tokenizer.model" : path;
  // The file inside a model directory means the same as the directory.
  const std::filesystem::path config = model.parent_path() / "tokenizer_config.json";
  const bool has_config = model.filename() == "tokenizer.model" && std::filesystem::exists(config);
  const SentencePieceOptions options = has_config ? read_options(config) : SentencePieceOptions{};
  if (is_directory && !std::filesystem::exists(model)) no_tokenizer(path);
  return open_sentencepiece(model, options);
}

}  // namespace regroup::tokenizer
