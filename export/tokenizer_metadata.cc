#include "export/tokenizer_metadata.h"

#include <fmt/format.h>

#include <optional>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/log.h"

namespace regroup::exporting {
namespace {

using tokenizer::Piece;
using tokenizer::PieceKind;
using tokenizer::Token;

constexpr float kScoreOfNothing = -10000;  // no merge wants it

void require_known(const tokenizer::Vocabulary& vocabulary, const std::filesystem::path& where) {
  if (vocabulary.model != "llama" && vocabulary.model != "gpt2")
    throw UserError({.where = where.string(),
                     .what = "a kind of tokenizer that cannot be exported",
                     .expected = "SentencePiece BPE (llama) or byte-level BPE (gpt2)",
                     .found = vocabulary.model == "t5" ? "a unigram model" : vocabulary.model});
  if (vocabulary.pre.empty())
    throw UserError(
        {.where = where.string(),
         .what = "regroup has no llama.cpp name for how this tokenizer cuts a text into words",
         .remedy = "Under another name its ids would differ from the ones that the model was trained on"});
}

// One piece for each id, no two alike: llama.cpp aborts where two are.
std::vector<Piece> pieces_by_id(const tokenizer::Vocabulary& vocabulary, std::size_t vocab_size,
                                const std::filesystem::path& where) {
  std::vector<Piece> pieces = vocabulary.pieces;
  if (pieces.size() > vocab_size)
    log_warning(fmt::format("{}: {} tokens from '{}' on are left out: the model's vocabulary is {}",
                            where.string(), pieces.size() - vocab_size, pieces[vocab_size].text, vocab_size));
  const std::size_t known = pieces.size();
  pieces.resize(vocab_size);
  std::unordered_set<std::string> seen;
  for (std::size_t id = 0; id < vocab_size; ++id) {
    Piece& piece = pieces[id];
    if (id >= known)
      piece = {.text = fmt::format("[PAD{}]", id), .score = kScoreOfNothing, .kind = PieceKind::kUnused};
    while (!seen.insert(piece.text).second) {
      piece.text = fmt::format("[{}#{}]", piece.text, id);
      piece.kind = PieceKind::kUnused;
    }
  }
  return pieces;
}

void add_pieces(const std::vector<Piece>& pieces, bool with_scores, gguf::Metadata& metadata) {
  std::vector<std::string> tokens;
  std::vector<float> scores;
  std::vector<std::int32_t> kinds;
  for (const Piece& piece : pieces) {
    tokens.push_back(piece.text);
    scores.push_back(piece.score);
    kinds.push_back(static_cast<std::int32_t>(piece.kind));
  }
  metadata.emplace_back("tokenizer.ggml.tokens", std::move(tokens));
  if (with_scores) metadata.emplace_back("tokenizer.ggml.scores", std::move(scores));
  metadata.emplace_back("tokenizer.ggml.token_type", std::move(kinds));
}

}  // namespace

gguf::Metadata tokenizer_metadata(const tokenizer::Vocabulary& vocabulary, std::int64_t vocab_size,
                                  const std::filesystem::path& where) {
  require_known(vocabulary, where);
  gguf::Metadata metadata = {{"tokenizer.ggml.model", vocabulary.model},
                             {"tokenizer.ggml.pre", vocabulary.pre}};
  const bool by_score = vocabulary.model == "llama";
  add_pieces(pieces_by_id(vocabulary, static_cast<std::size_t>(vocab_size), where), by_score, metadata);
  if (!by_score) metadata.emplace_back("tokenizer.ggml.merges", vocabulary.merges);
  const auto add_id = [&](const char* name, std::optional<Token> id) {
    if (id && *id < vocab_size)
      metadata.emplace_back(fmt::format("tokenizer.ggml.{}_token_id", name), static_cast<std::uint32_t>(*id));
  };
  add_id("bos", vocabulary.bos);
  add_id("eos", vocabulary.eos);
  add_id("unknown", vocabulary.unknown);
  add_id("padding", vocabulary.padding);
  metadata.emplace_back("tokenizer.ggml.add_bos_token", vocabulary.document_start);
  metadata.emplace_back("tokenizer.ggml.add_space_prefix", vocabulary.space_prefix);
  return metadata;
}

void add_chat_template(const std::filesystem::path& directory, gguf::Metadata& metadata) {
  constexpr const char* kKey = "tokenizer.chat_template";
  const std::filesystem::path own = directory / "chat_template.jinja",
                              config = directory / "tokenizer_config.json";
  if (std::filesystem::exists(own)) {
    metadata.emplace_back(kKey, read_text(own));
  } else if (std::filesystem::exists(config)) {
    const Json json = read_json(config);
    const auto found = json.find("chat_template");
    if (found != json.end() && found->is_string()) metadata.emplace_back(kKey, found->get<std::string>());
  }
}

}  // namespace regroup::exporting
