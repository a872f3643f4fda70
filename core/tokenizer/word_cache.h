// Ids of words that came before. Not for several threads at a time.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/tokenizer/word_model.h"

namespace regroup::tokenizer {

class WordCache {
 public:
  // Appends the ids of `word`, the model's or those of the last time.
  void encode(const WordModel& model, std::string_view word, std::vector<Token>& ids) {
    if (word.size() > kLongest) return model.encode(word, ids);
    if (const auto found = places_.find(word); found != places_.end()) {
      const auto first = ids_.begin() + found->second.begin;
      ids.insert(ids.end(), first, first + found->second.count);
      return;
    }
    if (places_.size() >= kMost) {
      places_.clear();
      ids_.clear();
    }
    const auto begin = static_cast<std::int32_t>(ids_.size());
    model.encode(word, ids_);
    const auto count = static_cast<std::int32_t>(ids_.size()) - begin;
    places_.emplace(word, Place{begin, count});
    ids.insert(ids.end(), ids_.begin() + begin, ids_.end());
  }

 private:
  static constexpr std::size_t kLongest = 64;     // bytes; longer words seldom come again
  static constexpr std::size_t kMost = 1u << 17;  // words: some 10 MB
  struct Place {
    std::int32_t begin, count;
  };
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  std::unordered_map<std::string, Place, Hash, std::equal_to<>> places_;
  std::vector<Token> ids_;
};

}  // namespace regroup::tokenizer
