#include "core/tokenizer/added_tokens.h"

#include <algorithm>
#include <limits>
#include <unordered_set>
#include <utility>

#include "core/base/error.h"
#include "core/tokenizer/unicode.h"

namespace regroup::tokenizer {
namespace {

AddedToken read_token(const SortedJson& value, const std::string& where) {
  const Fields fields(value, where);
  const std::int64_t id = fields.number("id");
  if (id < 0 || id > std::numeric_limits<Token>::max()) fields.refuse("id", "an id from 0 on");
  const bool special = fields.flag_or("special", false);
  return {.content = fields.text("content"),
          .id = static_cast<Token>(id),
          .special = special,
          .single_word = fields.flag_or("single_word", false),
          .strips_left = fields.flag_or("lstrip", false),
          .strips_right = fields.flag_or("rstrip", false),
          .normalized = fields.flag_or("normalized", !special)};
}

// The reference does not read the id: it takes the piece of that text, or else counts on.
std::vector<AddedToken> read_tokens(const Fields& file, const Pieces& pieces) {
  std::vector<AddedToken> tokens;
  std::unordered_set<std::string> seen;
  if (!file.has("added_tokens")) return tokens;
  const std::string where = file.where() + ": added_tokens";
  std::int64_t next = pieces.count();
  for (const SortedJson& value : file.array("added_tokens")) {
    const AddedToken token = read_token(value, where);
    if (token.content.empty()) continue;
    const auto piece = pieces.find(token.content);
    const std::int64_t expected = piece ? *piece : next;
    const bool is_new = seen.insert(token.content).second;
    if (token.id != expected || !is_new)
      throw UserError({.where = where,
                       .what = is_new ? "\"" + token.content + "\" has an id that is not its own"
                                      : "\"" + token.content + "\" is there twice",
                       .expected = "id " + std::to_string(expected),
                       .found = std::to_string(token.id)});
    if (!piece) ++next;
    tokens.push_back(token);
  }
  return tokens;
}

PrefixIndex index_of(const std::vector<AddedToken>& tokens, bool normalized, const Normalizer* normalizer) {
  std::vector<std::pair<std::string, Token>> texts;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i].normalized != normalized) continue;
    const std::string& content = tokens[i].content;
    texts.emplace_back(normalized && normalizer ? normalizer->normalize(content) : content,
                       static_cast<Token>(i));
  }
  return PrefixIndex(std::move(texts));
}

std::size_t character_before(std::string_view text, std::size_t end) {
  std::size_t begin = end;
  while (begin > 0 && (text[--begin] & 0xc0) == 0x80) continue;
  return begin;
}

bool stands_alone(std::string_view text, std::size_t begin, std::size_t end) {
  std::size_t before = character_before(text, begin), after = end;
  const bool word_before = begin > 0 && is_word(next_character(text, before));
  return !word_before && !(end < text.size() && is_word(next_character(text, after)));
}

std::size_t without_space_before(std::string_view text, std::size_t begin, std::size_t least) {
  while (begin > least) {
    const std::size_t before = character_before(text, begin);
    std::size_t at = before;
    if (!is_space(next_character(text, at))) break;
    begin = before;
  }
  return std::max(begin, least);
}

std::size_t without_space_behind(std::string_view text, std::size_t end) {
  for (std::size_t at = end; at < text.size(); end = at)
    if (!is_space(next_character(text, at))) break;
  return end;
}

}  // namespace

AddedTokens::AddedTokens(const Fields& file, const Pieces& pieces, const Normalizer* normalizer)
    : tokens_(read_tokens(file, pieces)),
      raw_(index_of(tokens_, false, normalizer)),
      normalized_(index_of(tokens_, true, normalizer)) {}

std::optional<Token> AddedTokens::find(std::string_view content) const {
  const auto found = std::ranges::find(tokens_, content, &AddedToken::content);
  return found != tokens_.end() ? std::optional(found->id) : std::nullopt;
}

std::vector<AddedTokens::Section> AddedTokens::sections(std::string_view text,
                                                        const PrefixIndex& index) const {
  std::vector<Section> found;
  std::size_t done = 0;
  for (std::size_t at = 0; !index.empty() && at < text.size();) {
    std::size_t size = 0;
    std::size_t which = 0;
    if (index.may_begin_with(text[at]))
      index.for_each_prefix(text.substr(at), [&](std::size_t matched, Token place) {
        size = matched;
        which = static_cast<std::size_t>(place);
      });
    if (size == 0) {
      ++at;
      continue;
    }
    const AddedToken& token = tokens_[which];
    std::size_t begin = at, end = at + size;
    at = end;  // what overlaps a name is not looked for, even if the name turns out to be text
    if (token.special || (token.single_word && !stands_alone(text, begin, end))) continue;
    if (token.strips_left) begin = without_space_before(text, begin, done);
    if (token.strips_right) end = without_space_behind(text, end);
    if (done < begin) found.push_back({text.substr(done, begin - done), std::nullopt});
    found.push_back({text.substr(begin, end - begin), token.id});
    done = end;
  }
  if (done < text.size()) found.push_back({text.substr(done), std::nullopt});
  return found;
}

bool AddedTokens::allow_cuts() const {
  return std::ranges::all_of(tokens_, [](const AddedToken& token) {
    const bool is_spaces = token.content.find_first_not_of(' ') == std::string::npos;
    const bool holds_space = token.content.find(' ') != std::string::npos;
    const bool is_found = !token.special;
    return !(is_found && (token.strips_left || token.strips_right)) &&
           (!holds_space || (is_spaces && token.content.size() > 1));
  });
}

}  // namespace regroup::tokenizer
