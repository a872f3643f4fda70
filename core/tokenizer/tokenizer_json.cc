#include "core/tokenizer/tokenizer_json.h"

#include <algorithm>
#include <limits>
#include <mutex>
#include <utility>

#include "core/base/error.h"
#include "core/tokenizer/added_tokens.h"
#include "core/tokenizer/cuts.h"
#include "core/tokenizer/decoder.h"
#include "core/tokenizer/fields.h"
#include "core/tokenizer/pre_tokenizer.h"
#include "core/tokenizer/unicode.h"
#include "core/tokenizer/word_cache.h"
#include "core/tokenizer/word_model.h"

namespace regroup::tokenizer {
namespace {

const SortedJson& value_or_null(const SortedJson& file, const char* key) {
  static const SortedJson null;
  const auto found = file.find(key);
  return found != file.end() ? *found : null;
}

// The token that a post_processor puts before a text, if it puts one.
std::optional<Token> read_first_token(const SortedJson& value, const std::string& where) {
  if (value.is_null()) return std::nullopt;
  const Fields fields(value, where);
  const std::string kind = fields.text("type");
  if (kind == "ByteLevel") return std::nullopt;  // changes offsets alone
  if (kind == "Sequence") {
    std::optional<Token> first;
    for (const SortedJson& step : fields.array("processors"))
      if (const auto token = read_first_token(step, fields.at("processors"))) first = token;
    return first;
  }
  if (kind != "TemplateProcessing") refuse_kind(where, kind, "TemplateProcessing, ByteLevel or Sequence");
  const SortedJson& pieces = fields.array("single");
  if (pieces.empty() || !pieces[0].is_object() || !pieces[0].contains("SpecialToken")) return std::nullopt;
  const std::string name = Fields(pieces[0], fields.at("single")).object("SpecialToken").text("id");
  const Fields token = fields.object("special_tokens").object(name.c_str());
  const SortedJson& ids = token.array("ids");
  if (ids.size() != 1 || !ids[0].is_number_integer() || ids[0] < 0 ||
      ids[0] > std::numeric_limits<Token>::max())
    token.refuse("ids", "one id");
  return ids[0].get<Token>();
}

class JsonTokenizer : public Tokenizer {
 public:
  JsonTokenizer(const SortedJson& file, const std::string& where, const TokenizerJsonOptions& options)
      : normalizer_(read_normalizer(value_or_null(file, "normalizer"), where + ": normalizer")),
        pre_tokenizer_(value_or_null(file, "pre_tokenizer"), where + ": pre_tokenizer"),
        model_(read_word_model({Fields(file, where).value("model"), where + ": model"},
                               pre_tokenizer_.gives_bytes())),
        added_(Fields(file, where), model_->pieces(), normalizer_.get()),
        decoder_(read_decoder(value_or_null(file, "decoder"), where + ": decoder")),
        cuts_(normalizer_.get(), pre_tokenizer_, *model_, added_) {
    vocab_size_ = model_->pieces().end();
    for (const AddedToken& token : added_.all())
      vocab_size_ = std::max<std::int64_t>(vocab_size_, token.id + 1);
    set_names(read_first_token(value_or_null(file, "post_processor"), where + ": post_processor"), where,
              options);
    set_texts();
  }

  std::vector<Token> encode(std::string_view text) const override {
    if (!is_utf8(text)) return encode(to_utf8(text));
    std::vector<Token> ids;
    std::unique_ptr<WordCache> cache = take_cache();
    bool at_start = true;
    for (const AddedTokens::Section& section : added_.in_raw(text)) {
      if (section.token) {
        ids.push_back(*section.token);
      } else {
        encode_section(section.text, at_start, *cache, ids);
      }
      at_start = false;
    }
    return_cache(std::move(cache));
    return ids;
  }

  std::vector<std::string_view> parts(std::string_view text) const override { return cuts_.parts(text); }

  std::string decode(std::span<const Token> tokens) const override {
    std::vector<std::string> texts;
    for (Token token : tokens) {
      if (!is_known(token)) token = unknown_.value_or(-1);
      if (is_known(token) && !is_special_[static_cast<std::size_t>(token)])
        texts.push_back(texts_[static_cast<std::size_t>(token)]);
    }
    std::string text;
    for (const std::string& one : decoder_->decode(std::move(texts))) text += one;
    return text;
  }

  std::int64_t vocab_size() const override { return vocab_size_; }
  std::optional<Token> document_start() const override { return document_start_; }
  std::optional<Token> end_of_sequence() const override { return end_; }
  Vocabulary vocabulary() const override;

 private:
  void set_names(std::optional<Token> first, const std::string& where, const TokenizerJsonOptions& options);
  void set_texts();
  std::optional<Token> id_of(const std::optional<std::string>& name) const;
  bool is_known(Token id) const {
    return id >= 0 && id < vocab_size_ && !texts_[static_cast<std::size_t>(id)].empty();
  }

  // `text` is between tokens that are found in the raw text.
  void encode_section(std::string_view text, bool at_start, WordCache& cache, std::vector<Token>& ids) const {
    const std::string normalized = normalizer_ ? normalizer_->normalize(std::string(text)) : std::string();
    const std::string_view rest = normalizer_ ? std::string_view(normalized) : text;
    for (const AddedTokens::Section& section : added_.in_normalized(rest)) {
      if (section.token) {
        ids.push_back(*section.token);
      } else {
        for (const Words words = pre_tokenizer_.words(section.text, at_start);
             const std::string_view word : words.words)
          cuts_.for_each_part(word, [&](std::string_view part) { cache.encode(*model_, part, ids); });
      }
      at_start = false;
    }
  }

  std::unique_ptr<WordCache> take_cache() const {
    const std::lock_guard lock(caches_mutex_);
    if (caches_.empty()) return std::make_unique<WordCache>();
    std::unique_ptr<WordCache> cache = std::move(caches_.back());
    caches_.pop_back();
    return cache;
  }

  void return_cache(std::unique_ptr<WordCache> cache) const {
    const std::lock_guard lock(caches_mutex_);
    caches_.push_back(std::move(cache));
  }

  std::unique_ptr<const Normalizer> normalizer_;
  PreTokenizer pre_tokenizer_;
  std::unique_ptr<const WordModel> model_;
  AddedTokens added_;
  std::unique_ptr<const Decoder> decoder_;
  Cuts cuts_;
  std::int64_t vocab_size_ = 0;
  std::optional<Token> document_start_, bos_, end_, unknown_, padding_;
  std::vector<std::string> texts_;  // by id, as the decoder takes them; empty for an id that nothing has
  std::vector<bool> is_special_;    // by id
  mutable std::mutex caches_mutex_;
  mutable std::vector<std::unique_ptr<WordCache>> caches_;  // one for every thread there has been at a time
};

std::optional<Token> JsonTokenizer::id_of(const std::optional<std::string>& name) const {
  if (!name) return std::nullopt;
  const auto added = added_.find(*name);
  return added ? added : model_->pieces().find(*name);
}

void JsonTokenizer::set_names(std::optional<Token> first, const std::string& where,
                              const TokenizerJsonOptions& options) {
  bos_ = options.bos ? id_of(options.bos) : first;
  end_ = id_of(options.eos);
  unknown_ = model_->unknown() ? model_->unknown() : id_of(options.unknown);
  padding_ = id_of(options.padding);
  document_start_ = options.document_start == false ? std::nullopt : first;
  if (options.document_start == true && !first) {
    document_start_ = bos_;
    if (!bos_)
      throw UserError({.where = where,
                       .what = "documents are to start with BOS (add_bos_token), but there is no such token",
                       .found = options.bos ? "\"" + *options.bos + "\"" : "no bos_token"});
  }
  if (document_start_ >= vocab_size_)
    throw UserError({.where = where,
                     .what = "the post_processor's first token is beyond the vocabulary",
                     .expected = "an id below " + std::to_string(vocab_size_),
                     .found = std::to_string(*document_start_)});
}

void JsonTokenizer::set_texts() {
  const auto size = static_cast<std::size_t>(vocab_size_);
  texts_.resize(size);
  is_special_.resize(size);
  for (Token id = 0; id < model_->pieces().end(); ++id)
    if (const std::string* text = model_->pieces().text(id)) texts_[static_cast<std::size_t>(id)] = *text;
  for (const AddedToken& token : added_.all()) {
    const auto id = static_cast<std::size_t>(token.id);
    texts_[id] = token.normalized && normalizer_ ? normalizer_->normalize(token.content) : token.content;
    is_special_[id] = token.special;
  }
}

Vocabulary JsonTokenizer::vocabulary() const {
  const bool byte_level = pre_tokenizer_.is_byte_level();
  Vocabulary vocabulary{.model = byte_level             ? "gpt2"
                                 : model_->has_merges() ? "llama"
                                                        : "t5",
                        .pre = byte_level ? pre_tokenizer_.ggml_name(model_->ignores_merges()) : "default"};
  for (Token id = 0; id < vocab_size_; ++id) {
    Piece piece{.text = "[PAD" + std::to_string(id) + "]", .score = 0, .kind = PieceKind::kUnused};
    if (const std::string* text = model_->pieces().text(id))
      piece = {.text = *text, .score = model_->score(id), .kind = PieceKind::kNormal};
    if (!byte_level && piece.text.size() == 6 && piece.text.starts_with("<0x")) piece.kind = PieceKind::kByte;
    vocabulary.pieces.push_back(std::move(piece));
  }
  for (const AddedToken& token : added_.all()) {
    Piece& piece = vocabulary.pieces[static_cast<std::size_t>(token.id)];
    piece.text = token.content;
    piece.kind = token.special ? PieceKind::kControl : PieceKind::kUserDefined;
  }
  if (unknown_) vocabulary.pieces[static_cast<std::size_t>(*unknown_)].kind = PieceKind::kUnknown;
  vocabulary.merges = model_->merges();
  vocabulary.bos = document_start_ ? document_start_ : bos_;
  vocabulary.eos = end_;
  vocabulary.unknown = unknown_;
  vocabulary.padding = padding_;
  vocabulary.document_start = document_start_.has_value();
  const std::string text = normalizer_ ? normalizer_->normalize("x") : "x";
  const Words words = pre_tokenizer_.words(text, true);
  vocabulary.space_prefix = words.words.size() != 1 || words.words[0] != "x";
  return vocabulary;
}

}  // namespace

std::unique_ptr<Tokenizer> make_tokenizer(const SortedJson& file, const std::string& where,
                                          const TokenizerJsonOptions& options) {
  return std::make_unique<JsonTokenizer>(file, where, options);
}

}  // namespace regroup::tokenizer
