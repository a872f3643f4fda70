// What a tokenizer holds, for writers of other formats (GGUF).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace regroup::tokenizer {

using Token = std::int32_t;

// The numbers are those of sentencepiece_model.proto and of GGUF's tokenizer.ggml.token_type.
enum class PieceKind : std::int32_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,      // a special token: stands for nothing in a text
  kUserDefined = 4,  // an added token that texts may hold
  kUnused = 5,       // an id that nothing has
  kByte = 6,         // "<0x41>": a byte of a character that is no piece
};

// As the tokenizer's file has it: with U+2581 for a space (SentencePiece), or in GPT-2's letters for bytes
// (byte-level BPE; added tokens are plain text there too).
struct Piece {
  std::string text;
  // SentencePiece's own. BPE from a tokenizer.json: minus the rank of the first merge that makes the piece,
  // so that joining by score joins in the order of the merges. Byte-level BPE: 0.
  float score = 0;
  PieceKind kind = PieceKind::kNormal;
};

struct Vocabulary {
  // In GGUF's terms (tokenizer.ggml.model): "llama" is BPE over characters with a byte fallback, "gpt2" is
  // byte-level BPE, "t5" is unigram.
  std::string model;
  // tokenizer.ggml.pre: how a text is cut into words before BPE, by llama.cpp's name for it. "default" for
  // "llama" and "t5"; empty if llama.cpp has no name for what this tokenizer does.
  std::string pre;
  std::vector<Piece> pieces;        // by id, without holes: an id that nothing has is "[PAD7]", kUnused
  std::vector<std::string> merges;  // "left right" in order of rank; a space inside a part is U+0120
  std::optional<Token> bos, eos, unknown, padding;
  bool document_start = false;  // documents start with bos (tokenizer.ggml.add_bos_token)
  bool space_prefix = false;    // a space is put before every text (tokenizer.ggml.add_space_prefix)
};

}  // namespace regroup::tokenizer
