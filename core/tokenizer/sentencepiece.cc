#include "core/tokenizer/sentencepiece.h"

#include <sentencepiece_processor.h>

#include <type_traits>
#include <unordered_map>
#include <utility>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/tokenizer/sentencepiece_cuts.h"

namespace regroup::tokenizer {
namespace {

static_assert(std::is_same_v<Token, int>, "the library's ids are ours");

// Enough for several threads to share a book, and for most words of a part to have come before.
constexpr std::size_t kPartBytes = 256 * 1024;

class SentencePiece : public Tokenizer {
 public:
  SentencePiece(const std::filesystem::path& file, const SentencePieceOptions& options)
      : SentencePiece(file, read_text(file), options) {}

  // Word by word where that is allowed; a word that came before is copied.
  std::vector<Token> encode(std::string_view text) const override {
    struct Place {
      std::size_t begin, size;
    };
    std::vector<Token> tokens, of_word;
    std::unordered_map<std::string_view, Place> seen;
    for (const std::string_view word : cuts_.parts(text, 1)) {
      const auto [entry, is_new] = seen.try_emplace(word, Place{tokens.size(), 0});
      Place& place = entry->second;
      if (is_new) {
        const auto status = processor_.Encode(word, &of_word);
        check(status.ok(), status.ToString());
        place.size = of_word.size();
        tokens.insert(tokens.end(), of_word.begin(), of_word.end());
      } else {
        for (std::size_t i = 0; i < place.size; ++i) tokens.push_back(tokens[place.begin + i]);
      }
    }
    return tokens;
  }

  std::vector<std::string_view> parts(std::string_view text) const override {
    return cuts_.parts(text, kPartBytes);
  }

  std::string decode(std::span<const Token> tokens) const override {
    std::vector<int> known(tokens.begin(), tokens.end());
    for (int& token : known)
      if (token < 0 || token >= vocab_size()) token = processor_.unk_id();
    std::string text;
    const auto status = processor_.Decode(known, &text);
    check(status.ok(), status.ToString());
    return text;
  }

  std::int64_t vocab_size() const override { return processor_.GetPieceSize(); }
  std::optional<Token> document_start() const override { return document_start_; }
  std::optional<Token> end_of_sequence() const override { return end_; }

 private:
  SentencePiece(const std::filesystem::path& file, std::string_view model,
                const SentencePieceOptions& options)
      : cuts_(model) {
    const auto status = processor_.LoadFromSerializedProto(model);
    if (!status.ok() || model.empty())
      throw UserError({.where = file.string(),
                       .what = "not a SentencePiece model",
                       .found = model.empty() ? "an empty file" : status.error_message(),
                       .remedy = "Give a model directory with a tokenizer.model, or that file"});
    end_ = id_of(options.eos, processor_.eos_id());
    if (!options.document_start) return;
    document_start_ = id_of(options.bos, processor_.bos_id());
    if (options.bos && !document_start_)
      throw UserError({.where = file.string(),
                       .what = "has no piece '" + *options.bos + "'",
                       .expected = "the bos_token of tokenizer_config.json among the model's pieces",
                       .remedy = "Added tokens are not supported"});
  }

  std::optional<Token> id_of(const std::optional<std::string>& name, int own) const {
    if (!name) return own >= 0 ? std::optional<Token>(own) : std::nullopt;
    const int id = processor_.PieceToId(*name);
    return processor_.IdToPiece(id) == *name ? std::optional<Token>(id) : std::nullopt;
  }

  sentencepiece::SentencePieceProcessor processor_;
  SentencePieceCuts cuts_;
  std::optional<Token> document_start_, end_;
};

}  // namespace

std::unique_ptr<Tokenizer> open_sentencepiece(const std::filesystem::path& model_file,
                                              const SentencePieceOptions& options) {
  return std::make_unique<SentencePiece>(model_file, options);
}

}  // namespace regroup::tokenizer
