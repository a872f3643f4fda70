#include "core/tokenizer/word_model.h"

#include <fmt/format.h>

#include <cmath>

#include "core/base/error.h"
#include "core/tokenizer/bpe.h"
#include "core/tokenizer/unigram.h"

namespace regroup::tokenizer {
namespace {

Pieces read_pieces(const Fields& fields) {
  Pieces pieces;
  const SortedJson& vocabulary = fields.object("vocab").all();
  for (const auto& [text, id] : vocabulary.items()) {
    if (!id.is_number_integer())
      throw UserError({.where = fields.at("vocab"), .what = "an id that is no integer", .found = shown(id)});
    pieces.add(text, id.get<std::int64_t>(), id_limit(vocabulary.size()), fields.at("vocab"));
  }
  return pieces;
}

// "left right", or ["left", "right"] as newer files have it.
std::pair<std::string, std::string> read_merge(const SortedJson& merge, const std::string& where) {
  if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string())
    return {merge[0].get<std::string>(), merge[1].get<std::string>()};
  if (merge.is_string()) {
    const auto text = merge.get<std::string>();
    const std::size_t space = text.find(' ');
    if (space != text.npos && text.find(' ', space + 1) == text.npos)
      return {text.substr(0, space), text.substr(space + 1)};
  }
  throw UserError({.where = where,
                   .what = "a merge that is not of two pieces",
                   .expected = R"("left right" or ["left", "right"])",
                   .found = shown(merge)});
}

void refuse_if_set(const Fields& fields, const char* key) {
  if (fields.has(key) && !(fields.value(key).is_string() && fields.text(key).empty()))
    throw UserError({.where = fields.at(key), .what = "not supported", .found = shown(fields.value(key))});
}

std::unique_ptr<const WordModel> read_bpe(const Fields& fields, bool bytes) {
  refuse_if_set(fields, "continuing_subword_prefix");
  refuse_if_set(fields, "end_of_word_suffix");
  if (fields.has("dropout") && !(fields.value("dropout").is_number() && fields.value("dropout") == 0))
    throw UserError({.where = fields.at("dropout"),
                     .what = "ids would be random",
                     .found = shown(fields.value("dropout"))});
  BpeParts parts{.pieces = read_pieces(fields)};
  for (const SortedJson& merge : fields.array("merges"))
    parts.merges.push_back(read_merge(merge, fields.at("merges")));
  if (fields.has("unk_token")) parts.unknown = fields.text("unk_token");
  parts.fuse_unknown = fields.flag_or("fuse_unk", false);
  parts.byte_fallback = fields.flag_or("byte_fallback", false);
  parts.ignore_merges = fields.flag_or("ignore_merges", false);
  return std::make_unique<Bpe>(std::move(parts), bytes, fields.where());
}

std::unique_ptr<const WordModel> read_unigram(const Fields& fields) {
  UnigramParts parts;
  for (const SortedJson& row : fields.array("vocab")) {
    if (!row.is_array() || row.size() != 2 || !row[0].is_string() || !row[1].is_number() ||
        !std::isfinite(row[1].get<double>()))
      throw UserError({.where = fields.at("vocab"),
                       .what = "a piece without a score",
                       .expected = "[\"piece\", score]",
                       .found = shown(row)});
    parts.pieces.add(row[0].get<std::string>(), static_cast<std::int64_t>(parts.scores.size()),
                     id_limit(parts.scores.size()), fields.at("vocab"));
    parts.scores.push_back(row[1].get<double>());
  }
  if (fields.has("unk_id")) {
    const std::int64_t unknown = fields.number("unk_id");
    if (unknown < 0 || unknown >= parts.pieces.count()) fields.refuse("unk_id", "the id of a piece");
    parts.unknown = static_cast<Token>(unknown);
  }
  parts.byte_fallback = fields.flag_or("byte_fallback", false);
  return std::make_unique<Unigram>(std::move(parts), fields.where());
}

}  // namespace

std::string byte_piece(unsigned char byte) {
  return fmt::format("<0x{:02X}>", byte);
}

std::unique_ptr<const WordModel> read_word_model(const Fields& fields, bool bytes) {
  // Old files have no "type"; BPE is the one with merges.
  const std::string kind = fields.text_or("type", fields.has("merges") ? "BPE" : "none");
  if (kind == "BPE") return read_bpe(fields, bytes);
  if (kind == "Unigram" && !bytes) return read_unigram(fields);
  refuse_kind(fields.where(), kind + (bytes && kind == "Unigram" ? " over bytes" : ""), "BPE or Unigram");
}

}  // namespace regroup::tokenizer
