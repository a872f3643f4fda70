// Text to token ids and back, with the tokenizer that a model directory holds.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/tokenizer/vocabulary.h"

namespace regroup::tokenizer {

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;
  // Ids of `text` alone: no BOS, no EOS, and the names of special tokens inside the text are text. Added
  // tokens that are not special (GPT-NeoX's runs of spaces) are part of the vocabulary and are found. Bytes
  // that are no UTF-8 read as U+FFFD.
  virtual std::vector<Token> encode(std::string_view text) const = 0;
  // Cuts `text` so that encode(text) is the ids of the parts, one after the other: a long text can be encoded
  // by several threads and in little memory. One part where the tokenizer knows no such place.
  virtual std::vector<std::string_view> parts(std::string_view text) const { return {text}; }
  // Special tokens read as nothing, ids that the tokenizer does not know (a model's vocabulary may be padded)
  // as its unknown token: SentencePiece's " ⁇ ", nothing where that is a special token or there is none.
  virtual std::string decode(std::span<const Token> tokens) const = 0;
  virtual std::int64_t vocab_size() const = 0;
  // What a document starts with: the BOS id if the tokenizer asks for one (add_bos_token, or the default of
  // its class).
  virtual std::optional<Token> document_start() const = 0;
  virtual std::optional<Token> end_of_sequence() const = 0;
  // Everything that another program needs to do the same.
  virtual Vocabulary vocabulary() const = 0;
};

// From a model directory, a tokenizer's file, or a model that is one file (beside.h). Of a directory that
// holds several, the one that transformers takes: tokenizer.json, else tokenizer.model, else vocab.json and
// merges.txt; tokenizer_config.json beside them says more. UserError when there is none that can be read, and
// for parts that are not supported, by name.
std::unique_ptr<Tokenizer> open_tokenizer(const std::filesystem::path& path);

// The files that decide the ids of what open_tokenizer() opens there, the one that holds the vocabulary
// first, those that say more of it last; none if it would find none.
std::vector<std::filesystem::path> tokenizer_files(const std::filesystem::path& path);

// What a model directory calls `name`, there or not; of a model that is one file, its tokenizer.model, or
// nothing.
std::filesystem::path tokenizer_file(const std::filesystem::path& model, std::string_view name);

// The first tokenizer file that two models have in different versions, if they have none in the same one: a
// program that saves a model again may write one of its files anew. Of models that have no kind of file in
// common, what each has, unless both give the same names to the same ids.
struct DifferingFiles {
  std::filesystem::path a, b;
};
std::optional<DifferingFiles> differing_tokenizers(const std::filesystem::path& a,
                                                   const std::filesystem::path& b);

}  // namespace regroup::tokenizer
