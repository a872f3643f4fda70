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

namespace regroup::tokenizer {

using Token = std::int32_t;

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;
  // Ids of `text` alone: no BOS, no EOS, and the names of special tokens inside the text are text.
  virtual std::vector<Token> encode(std::string_view text) const = 0;
  virtual std::string decode(std::span<const Token> tokens) const = 0;
  virtual std::int64_t vocab_size() const = 0;
  // What a document starts with: the BOS id if the tokenizer asks for one (add_bos_token, or the default of
  // its class).
  virtual std::optional<Token> document_start() const = 0;
  virtual std::optional<Token> end_of_sequence() const = 0;
};

// From a model directory (tokenizer.model + tokenizer_config.json) or the tokenizer.model itself. UserError
// when there is none that can be read, saying which files were looked for and which kinds are supported.
std::unique_ptr<Tokenizer> open_tokenizer(const std::filesystem::path& path);

}  // namespace regroup::tokenizer
