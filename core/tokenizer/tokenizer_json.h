// Tokenizers as Hugging Face's tokenizers library writes them (tokenizer.json), with the library's ids.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "core/base/json.h"
#include "core/tokenizer/tokenizer.h"

namespace regroup::tokenizer {

// What the files beside a tokenizer.json say.
struct TokenizerJsonOptions {
  std::optional<bool> document_start;  // add_bos_token; otherwise what the file's post_processor does
  std::optional<std::string> bos, eos, unknown, padding;  // names
};

// `file` is the content of a tokenizer.json, `where` names it. UserError for parts that are not supported and
// for content that makes no sense.
std::unique_ptr<Tokenizer> make_tokenizer(const SortedJson& file, const std::string& where,
                                          const TokenizerJsonOptions& options);

}  // namespace regroup::tokenizer
