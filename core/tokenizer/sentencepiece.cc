#include "core/tokenizer/sentencepiece.h"

#include <sentencepiece_processor.h>

#include <bit>
#include <cstring>
#include <type_traits>
#include <unordered_map>
#include <utility>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/tokenizer/protobuf.h"
#include "core/tokenizer/sentencepiece_cuts.h"

namespace regroup::tokenizer {
namespace {

static_assert(std::is_same_v<Token, int>, "the library's ids are ours");

// Enough for several threads to share a book, and for most words of a part to have come before.
constexpr std::size_t kPartBytes = 256 * 1024;

// A SentencePiece message of sentencepiece_model.proto. Defaults are those of the .proto file.
Piece read_piece(std::string_view message) {
  Piece piece;
  for_each_field(message, [&](const Field& field) {
    if (field.number == 1) piece.text = field.bytes;
    if (field.number == 2 && field.bytes.size() == sizeof(float)) {
      static_assert(std::endian::native == std::endian::little);
      std::memcpy(&piece.score, field.bytes.data(), sizeof(float));
    }
    if (field.number == 3) piece.kind = static_cast<PieceKind>(field.value);
  });
  return piece;
}

// The pieces, the kind of model (unigram unless it is said to be BPE) and whether it puts a space first.
Vocabulary read_vocabulary(std::string_view model) {
  constexpr std::uint64_t kUnigram = 1, kBpe = 2;
  Vocabulary vocabulary{.model = "", .pre = "default", .space_prefix = true};
  std::uint64_t model_type = kUnigram;
  for_each_field(model, [&](const Field& field) {
    // The library passes over a field of another type than its own, and keeps it.
    if (field.number == 1 && field.is_message) vocabulary.pieces.push_back(read_piece(field.bytes));
    if (field.number == 2)
      for_each_field(field.bytes, [&](const Field& trainer) {
        if (trainer.number == 3) model_type = trainer.value;
      });
    if (field.number == 3)
      for_each_field(field.bytes, [&](const Field& normalizer) {
        if (normalizer.number == 3) vocabulary.space_prefix = normalizer.value != 0;
      });
  });
  if (model_type == kUnigram) vocabulary.model = "t5";
  if (model_type == kBpe) vocabulary.model = "llama";
  return vocabulary;
}

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
        require_done(processor_.Encode(word, &of_word));
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
    require_done(processor_.Decode(known, &text));
    return text;
  }

  std::int64_t vocab_size() const override { return processor_.GetPieceSize(); }
  std::optional<Token> document_start() const override { return document_start_; }
  std::optional<Token> end_of_sequence() const override { return end_; }

  Vocabulary vocabulary() const override {
    Vocabulary vocabulary = read_vocabulary(processor_.serialized_model_proto());
    const auto known = [](int id) { return id >= 0 ? std::optional<Token>(id) : std::nullopt; };
    vocabulary.bos = document_start_ ? document_start_ : known(processor_.bos_id());
    vocabulary.eos = end_;
    vocabulary.unknown = known(processor_.unk_id());
    vocabulary.padding = known(processor_.pad_id());
    vocabulary.document_start = document_start_.has_value();
    return vocabulary;
  }

 private:
  SentencePiece(const std::filesystem::path& file, std::string_view model,
                const SentencePieceOptions& options)
      : file_(file), cuts_(model) {
    if (const std::string problem = load(model); !problem.empty())
      throw UserError({.where = file.string(),
                       .what = "not a SentencePiece model",
                       .found = problem,
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

  // What is wrong with the model; empty: it is loaded.
  std::string load(std::string_view model) {
    if (model.empty()) return "an empty file";
    try {
      const auto status = processor_.LoadFromSerializedProto(model);
      return status.ok() ? "" : status.error_message();
    } catch (const std::exception& error) {  // of the trie that the library keeps pieces in
      return error.what();
    }
  }

  // The library finds some contradictions of a model only when it uses it.
  void require_done(const sentencepiece::util::Status& status) const {
    if (!status.ok())
      throw UserError({.where = file_.string(),
                       .what = "a SentencePiece model that contradicts itself",
                       .found = status.error_message(),
                       .remedy = "Take the file again from where it came"});
  }

  std::optional<Token> id_of(const std::optional<std::string>& name, int own) const {
    if (!name) return own >= 0 ? std::optional<Token>(own) : std::nullopt;
    const int id = processor_.PieceToId(*name);
    return processor_.IdToPiece(id) == *name ? std::optional<Token>(id) : std::nullopt;
  }

  std::filesystem::path file_;
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
