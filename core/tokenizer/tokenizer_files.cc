#include "core/tokenizer/tokenizer_files.h"

#include <algorithm>
#include <array>
#include <map>
#include <string>
#include <unordered_set>
#include <vector>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/tokenizer/fields.h"
#include "core/tokenizer/known_patterns.h"
#include "core/tokenizer/tokenizer_json.h"

namespace regroup::tokenizer {
namespace {

namespace fs = std::filesystem;

SortedJson read_object(const fs::path& file) {
  SortedJson value = parse_sorted_json(read_text(file), file.string());
  if (!value.is_object()) throw UserError({.where = file.string(), .what = "not a JSON object"});
  return value;
}

SortedJson read_object_if_there(const fs::path& file) {
  return fs::exists(file) ? read_object(file) : SortedJson::object();
}

// The files that say more about a tokenizer than its own.
struct Beside {
  explicit Beside(const fs::path& directory)
      : config_file(directory / "tokenizer_config.json"),
        config(read_object_if_there(config_file)),
        names(read_object_if_there(directory / "special_tokens_map.json")),
        added(read_object_if_there(directory / "added_tokens.json")) {}

  // "<s>" or {"content": "<s>", …}
  std::optional<std::string> name(const char* key) const {
    for (const SortedJson* file : {&config, &names}) {
      const auto found = file->find(key);
      if (found == file->end()) continue;
      if (found->is_string()) return found->get<std::string>();
      if (found->is_object() && found->contains("content") && (*found)["content"].is_string())
        return (*found)["content"].get<std::string>();
    }
    return std::nullopt;
  }

  std::optional<bool> flag(const char* key) const {
    const auto found = config.find(key);
    return found != config.end() && found->is_boolean() ? std::optional(found->get<bool>()) : std::nullopt;
  }

  fs::path config_file;
  SortedJson config, names, added;
};

TokenizerJsonOptions options_of(const Beside& beside) {
  return {.document_start = beside.flag("add_bos_token"),
          .bos = beside.name("bos_token"),
          .eos = beside.name("eos_token"),
          .unknown = beside.name("unk_token"),
          .padding = beside.name("pad_token")};
}

// What the files beside add to the tokens of `file`, by id: tokenizer_config.json's added_tokens_decoder,
// or added_tokens.json.
std::map<std::int64_t, SortedJson> tokens_beside(const Beside& beside) {
  std::map<std::int64_t, SortedJson> tokens;
  const std::string where = beside.config_file.string() + ": added_tokens_decoder";
  if (const auto found = beside.config.find("added_tokens_decoder"); found != beside.config.end()) {
    for (const auto& [id, token] : Fields(*found, where).all().items()) {
      const bool is_id = !id.empty() && id.size() < 10 &&
                         std::ranges::all_of(id, [](unsigned char c) { return std::isdigit(c) != 0; });
      if (!is_id || !token.is_object())
        throw UserError({.where = where, .what = "not an id with a token", .found = shown(id)});
      SortedJson row = token;
      row["id"] = std::stoll(id);
      tokens.emplace(row["id"].get<std::int64_t>(), std::move(row));
    }
    return tokens;
  }
  for (const auto& [content, id] : beside.added.items())
    if (id.is_number_integer())
      tokens.emplace(id.get<std::int64_t>(), SortedJson{{"id", id}, {"content", content}});
  return tokens;
}

void add_tokens_beside(SortedJson& file, const Beside& beside) {
  SortedJson& tokens = file["added_tokens"];
  if (tokens.is_null()) tokens = SortedJson::array();
  if (!tokens.is_array()) return;  // refused by who reads it
  std::unordered_set<std::string> there;
  for (const SortedJson& token : tokens)
    if (token.is_object() && token.contains("content") && token["content"].is_string())
      there.insert(token["content"].get<std::string>());
  for (auto& [id, token] : tokens_beside(beside)) {
    const auto content = token.find("content");
    if (content == token.end() || !content->is_string() || !there.contains(content->get<std::string>()))
      tokens.push_back(std::move(token));
  }
}

// The names of special tokens that are pieces of the model are special, whatever else is said of them.
void add_special_names(SortedJson& file, const SortedJson& vocabulary, const TokenizerJsonOptions& options) {
  SortedJson& tokens = file["added_tokens"];
  for (const auto& name : {options.bos, options.eos, options.unknown, options.padding}) {
    if (!name || !vocabulary.contains(*name)) continue;
    const auto same = std::ranges::find_if(tokens, [&](const SortedJson& token) {
      return token.is_object() && token.contains("content") && token["content"] == *name;
    });
    if (same == tokens.end())
      tokens.insert(tokens.begin(),
                    SortedJson{{"id", vocabulary[*name]}, {"content", *name}, {"special", true}});
  }
}

SortedJson read_merges(const fs::path& file) {
  SortedJson merges = SortedJson::array();
  const std::string text = read_text(file);
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    std::string line = text.substr(begin, end - begin);
    if (line.ends_with('\r')) line.pop_back();
    begin = end + 1;
    if (!line.empty() && !line.starts_with("#version")) merges.push_back(std::move(line));
  }
  return merges;
}

// The classes of transformers that make a tokenizer of vocab.json and merges.txt as GPT-2 does.
constexpr std::array<std::string_view, 6> kGpt2Classes = {"GPT2Tokenizer",        "GPT2TokenizerFast",
                                                          "CodeGenTokenizer",     "CodeGenTokenizerFast",
                                                          "GPTNeoXTokenizerFast", "PreTrainedTokenizerFast"};
constexpr std::array<std::string_view, 2> kQwen2Classes = {"Qwen2Tokenizer", "Qwen2TokenizerFast"};

SortedJson byte_level(bool add_prefix_space, bool use_regex) {
  return {{"type", "ByteLevel"}, {"add_prefix_space", add_prefix_space}, {"use_regex", use_regex}};
}

// The parts of a tokenizer.json for a class.
SortedJson parts_of(const Beside& beside) {
  const auto class_name = beside.name("tokenizer_class").value_or("GPT2Tokenizer");
  if (std::ranges::find(kGpt2Classes, class_name) != kGpt2Classes.end())
    return {{"pre_tokenizer", byte_level(beside.flag("add_prefix_space").value_or(false), true)},
            {"decoder", byte_level(false, true)}};
  if (std::ranges::find(kQwen2Classes, class_name) != kQwen2Classes.end()) {
    const SortedJson words = {{"type", "Split"},
                              {"pattern", {{"Regex", kQwen2Pattern}}},
                              {"behavior", "Isolated"},
                              {"invert", false}};
    return {{"normalizer", {{"type", "NFC"}}},
            {"pre_tokenizer",
             {{"type", "Sequence"}, {"pretokenizers", SortedJson::array({words, byte_level(false, false)})}}},
            {"decoder", byte_level(false, false)}};
  }
  throw UserError(
      {.where = beside.config_file.string(),
       .what = "a kind of tokenizer that is not supported",
       .expected = "GPT2Tokenizer, CodeGenTokenizer or Qwen2Tokenizer for vocab.json and merges.txt",
       .found = "\"tokenizer_class\": \"" + class_name + "\"",
       .remedy = "Save it as tokenizer.json (AutoTokenizer.from_pretrained(…).save_pretrained(…))"});
}

}  // namespace

std::unique_ptr<Tokenizer> open_tokenizer_json(const fs::path& path) {
  SortedJson file = read_object(path);
  const Beside beside(path.parent_path());
  add_tokens_beside(file, beside);
  // transformers sets what the configuration says in the file's own pre-tokenizer.
  if (const auto prefix = beside.flag("add_prefix_space"))
    if (const auto words = file.find("pre_tokenizer");
        words != file.end() && words->is_object() && words->value("type", "") == "ByteLevel")
      (*words)["add_prefix_space"] = *prefix;
  return make_tokenizer(file, path.string(), options_of(beside));
}

std::unique_ptr<Tokenizer> open_vocab_and_merges(const fs::path& vocab_file) {
  const fs::path directory = vocab_file.parent_path();
  const Beside beside(directory);
  SortedJson file = parts_of(beside);
  TokenizerJsonOptions options = options_of(beside);
  SortedJson vocabulary = read_object(vocab_file);
  constexpr const char* kGpt2End = "<|endoftext|>";  // the default of GPT-2's class
  if (!options.eos && vocabulary.contains(kGpt2End)) options.eos = kGpt2End;
  add_tokens_beside(file, beside);
  add_special_names(file, vocabulary, options);
  file["model"] = {{"type", "BPE"}, {"merges", read_merges(directory / "merges.txt")}};
  file["model"]["vocab"] = std::move(vocabulary);
  if (options.unknown && file["model"]["vocab"].contains(*options.unknown))
    file["model"]["unk_token"] = *options.unknown;
  return make_tokenizer(file, vocab_file.string(), options);
}

}  // namespace regroup::tokenizer
