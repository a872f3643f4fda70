#include "core/tokenizer/pieces.h"

#include <algorithm>

#include "core/base/error.h"
#include "core/tokenizer/unicode.h"

namespace regroup::tokenizer {
namespace {

std::string quoted(std::string_view text) {
  return '"' + (text.size() > 40 ? to_utf8(text.substr(0, 40)) + "…" : std::string(text)) + '"';
}

}  // namespace

void Pieces::add(std::string text, std::int64_t id, std::int64_t limit, const std::string& where) {
  if (id < 0 || id >= limit)
    throw UserError({.where = where,
                     .what = "the id of " + quoted(text) + " is out of range",
                     .expected = "0 to " + std::to_string(limit - 1),
                     .found = std::to_string(id)});
  const auto index = static_cast<std::size_t>(id);
  if (index >= texts_.size()) texts_.resize(index + 1, nullptr);
  if (texts_[index] != nullptr)
    throw UserError({.where = where,
                     .what = "two pieces have the id " + std::to_string(id),
                     .found = quoted(*texts_[index]) + " and " + quoted(text)});
  const auto [entry, is_new] = ids_.try_emplace(std::move(text), static_cast<Token>(id));
  if (!is_new)
    throw UserError({.where = where,
                     .what = "the piece " + quoted(entry->first) + " is there twice",
                     .found = "ids " + std::to_string(entry->second) + " and " + std::to_string(id)});
  texts_[index] = &entry->first;
}

std::optional<Token> Pieces::find(std::string_view text) const {
  const auto found = ids_.find(text);
  return found != ids_.end() ? std::optional(found->second) : std::nullopt;
}

const std::string* Pieces::text(Token id) const {
  return id >= 0 && id < end() ? texts_[static_cast<std::size_t>(id)] : nullptr;
}

PrefixIndex::PrefixIndex(std::vector<std::pair<std::string, Token>> texts) : texts_(std::move(texts)) {
  std::ranges::sort(texts_);
  const auto rest = std::ranges::unique(texts_, {}, &std::pair<std::string, Token>::first);
  texts_.erase(rest.begin(), rest.end());
  if (!texts_.empty() && texts_.front().first.empty()) texts_.erase(texts_.begin());
  first_.resize(256);
  for (std::size_t i = 0; i < texts_.size(); ++i) {
    auto& [low, high] = first_[static_cast<unsigned char>(texts_[i].first[0])];
    if (low == high) low = i;
    high = i + 1;
  }
}

void PrefixIndex::narrow(std::size_t& low, std::size_t& high, std::size_t depth, char c) const {
  const auto begin = texts_.begin() + static_cast<std::ptrdiff_t>(low);
  const auto end = texts_.begin() + static_cast<std::ptrdiff_t>(high);
  const auto at = [&](const auto& row) { return static_cast<unsigned char>(row.first[depth]); };
  const auto same = std::ranges::equal_range(begin, end, static_cast<unsigned char>(c), {}, at);
  low = static_cast<std::size_t>(same.begin() - texts_.begin());
  high = static_cast<std::size_t>(same.end() - texts_.begin());
}

}  // namespace regroup::tokenizer
