// How a tokenizer.json cuts a text into the words that its model sees ("pre_tokenizer").
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/json.h"

namespace regroup::tokenizer {

// Views of a text, or of what has become of it.
struct Words {
  std::vector<std::string_view> words;
  std::deque<std::string> storage;
  bool at_start = true;  // the first word begins where the text does
};

class PreTokenizer {
 public:
  // From the value of "pre_tokenizer"; null is one that leaves the text whole. UserError, with `where`, for
  // one that is not supported.
  PreTokenizer(const SortedJson& value, const std::string& where);
  PreTokenizer(PreTokenizer&&) noexcept;
  ~PreTokenizer();

  // `at_start`: `text` begins where the user's does. No word is empty.
  Words words(std::string_view text, bool at_start) const;
  // The words are bytes, which a model reads through GPT-2's letters (byte_level.h).
  bool gives_bytes() const { return gives_bytes_; }
  // Words are bytes or, where something else than the model looks at them too, GPT-2's letters for bytes.
  bool is_byte_level() const;

  // What a space between two letters means. kSeparates: a word begins with it whatever stands before, and all
  // words are the same if the text is cut there. kWithin: nothing but the model looks at it. `as_symbol`: the
  // normalizer has made it U+2581.
  enum class Space { kSeparates, kWithin, kUnknown };
  Space space(bool as_symbol) const;

  // tokenizer.ggml.pre, or nothing if llama.cpp has no name for this. `ignore_merges` is the model's.
  std::string ggml_name(bool ignore_merges) const;

  struct Step;

 private:
  std::vector<std::unique_ptr<const Step>> steps_;
  bool gives_bytes_ = false;
};

}  // namespace regroup::tokenizer
