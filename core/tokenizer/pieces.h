// The pieces of a vocabulary: text by id, id by text, and the pieces that a text begins with.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/tokenizer/vocabulary.h"

namespace regroup::tokenizer {

// Ids beyond this, for so many pieces, are a mistake: they would make tables of that size.
constexpr std::int64_t id_limit(std::size_t pieces) {
  return 65536 + 2 * static_cast<std::int64_t>(pieces);
}

class Pieces {
 public:
  // UserError, with `where`, for an id that is taken, negative or not below `limit`, and for a text that is
  // there.
  void add(std::string text, std::int64_t id, std::int64_t limit, const std::string& where);

  std::optional<Token> find(std::string_view text) const;
  // Nothing for an id that nothing has.
  const std::string* text(Token id) const;
  std::int64_t count() const { return static_cast<std::int64_t>(ids_.size()); }
  std::int64_t end() const { return static_cast<std::int64_t>(texts_.size()); }  // largest id + 1

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  std::unordered_map<std::string, Token, Hash, std::equal_to<>> ids_;
  std::vector<const std::string*> texts_;  // into ids_, whose nodes stay
};

// Which of some texts another one begins with, in time that grows with the match and not with their number.
class PrefixIndex {
 public:
  explicit PrefixIndex(std::vector<std::pair<std::string, Token>> texts);

  bool empty() const { return texts_.empty(); }
  bool may_begin_with(char c) const {
    const auto& [low, high] = first_[static_cast<unsigned char>(c)];
    return low < high;
  }

  // Calls `visit(size, token)` for every one that `text` begins with, the shortest first.
  template <typename Visit>
  void for_each_prefix(std::string_view text, Visit visit) const {
    if (text.empty()) return;
    auto [low, high] = first_[static_cast<unsigned char>(text[0])];
    for (std::size_t depth = 1; low < high; ++depth) {
      if (texts_[low].first.size() == depth) {
        visit(depth, texts_[low].second);
        ++low;
      }
      if (depth == text.size()) return;
      narrow(low, high, depth, text[depth]);
    }
  }

 private:
  // [low, high): the texts that agree up to `depth`; of these, those with `c` there.
  void narrow(std::size_t& low, std::size_t& high, std::size_t depth, char c) const;

  std::vector<std::pair<std::string, Token>> texts_;  // sorted, all different, none empty
  std::vector<std::pair<std::size_t, std::size_t>> first_;
};

}  // namespace regroup::tokenizer
