// SentencePiece models (BPE, unigram) through the reference library.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "core/tokenizer/tokenizer.h"

namespace regroup::tokenizer {

// What a tokenizer_config.json says beside the model; names are pieces of the model.
struct SentencePieceOptions {
  bool document_start = true;           // documents start with BOS, if there is one
  std::optional<std::string> bos, eos;  // as the configuration names them; else the model's own
};

// UserError unless `model_file` holds a SentencePiece model.
std::unique_ptr<Tokenizer> open_sentencepiece(const std::filesystem::path& model_file,
                                              const SentencePieceOptions& options);

}  // namespace regroup::tokenizer
