#include "core/tokenizer/pre_tokenizer.h"

#include <algorithm>
#include <array>
#include <functional>
#include <utility>

#include "core/base/error.h"
#include "core/tokenizer/byte_level.h"
#include "core/tokenizer/fields.h"
#include "core/tokenizer/known_patterns.h"
#include "core/tokenizer/pattern.h"
#include "core/tokenizer/split.h"
#include "core/tokenizer/unicode.h"

namespace regroup::tokenizer {

using Space = PreTokenizer::Space;

struct PreTokenizer::Step {
  virtual ~Step() = default;
  virtual void apply(Words& text) const = 0;
  virtual Space space(bool as_symbol) const = 0;
  virtual bool makes_symbols() const { return false; }  // of spaces
  // What ggml_name() compares: the same for steps that do the same.
  virtual std::string signature() const = 0;
};

namespace {

using Step = PreTokenizer::Step;
using Steps = std::vector<std::unique_ptr<const Step>>;

constexpr const char* kBloomPattern = R"( ?[^(\s|[.,!?…。，、।۔،])]+)";
constexpr const char* kThreeDigitsPattern = "[0-9][0-9][0-9]";

// Patterns of which one looked at each: a space between two letters begins a match, whatever stands around
// it, or (the last one) does not change any match.
struct KnownPattern {
  const char* text;
  Space space;
};
constexpr std::array<KnownPattern, 5> kKnownPatterns = {{{kGpt2Pattern, Space::kSeparates},
                                                         {kQwen2Pattern, Space::kSeparates},
                                                         {kLlama3Pattern, Space::kSeparates},
                                                         {kBloomPattern, Space::kSeparates},
                                                         {kThreeDigitsPattern, Space::kWithin}}};

// Replaces every word by the parts that `cut` makes of it.
template <typename Cut>
void replace_words(Words& text, Cut cut) {
  std::vector<std::string_view> parts;
  parts.reserve(text.words.size());
  for (const std::string_view word : text.words) cut(word, parts);
  text.words = std::move(parts);
}

// Line ends as escapes: files have either.
std::string spelled_out(std::string_view pattern) {
  std::string text;
  for (const char c : pattern) c == '\r' ? text += "\\r" : c == '\n' ? text += "\\n" : text += c;
  return text;
}

class SplitStep : public Step {
 public:
  SplitStep(Pattern pattern, Behavior behavior, bool inverted)
      : pattern_(std::move(pattern)), behavior_(behavior), inverted_(inverted) {}

  void apply(Words& text) const override {
    replace_words(text, [&](std::string_view word, std::vector<std::string_view>& parts) {
      split(word, pattern_.matches(word), behavior_, inverted_, parts);
    });
  }

  // Inverted and with what is between the matches left out, a match is a word as well.
  bool gives_matches() const {
    return inverted_ ? behavior_ == Behavior::kRemoved : behavior_ == Behavior::kIsolated;
  }

  Space space(bool as_symbol) const override {
    if (as_symbol) return pattern_.literal() == " " ? Space::kWithin : Space::kUnknown;
    if (!pattern_.regex() || !gives_matches()) return Space::kUnknown;
    const auto known = std::ranges::find(kKnownPatterns, pattern_.regex()->pattern(), &KnownPattern::text);
    return known != kKnownPatterns.end() ? known->space : Space::kUnknown;
  }

  std::string signature() const override {
    return pattern_.regex() && gives_matches() ? spelled_out(pattern_.regex()->pattern()) : "";
  }

 private:
  Pattern pattern_;
  Behavior behavior_;
  bool inverted_;
};

// Digits and punctuation: characters of a kind.
class CharacterStep : public Step {
 public:
  CharacterStep(bool (*is_match)(char32_t), Behavior behavior, std::string name)
      : is_match_(is_match), behavior_(behavior), name_(std::move(name)) {}

  void apply(Words& text) const override {
    std::vector<Match> matches;
    replace_words(text, [&](std::string_view word, std::vector<std::string_view>& parts) {
      matches.clear();
      for (std::size_t at = 0; at < word.size();) {
        const std::size_t begin = at;
        if (is_match_(next_character(word, at))) matches.push_back({begin, at});
      }
      split(word, matches, behavior_, false, parts);
    });
  }

  Space space(bool) const override { return Space::kWithin; }
  std::string signature() const override {
    return behavior_ == Behavior::kIsolated     ? name_ + " isolated"
           : behavior_ == Behavior::kContiguous ? name_ + " contiguous"
                                                : "";
  }

 private:
  bool (*is_match_)(char32_t);
  Behavior behavior_;
  std::string name_;
};

// The words of ByteLevel, still as text.
class ByteLevelStep : public Step {
 public:
  ByteLevelStep(bool add_prefix_space, bool use_regex, const std::string& where)
      : add_prefix_space_(add_prefix_space) {
    if (use_regex) regex_.emplace(kGpt2Pattern, where);
  }

  void apply(Words& text) const override {
    replace_words(text, [&](std::string_view word, std::vector<std::string_view>& parts) {
      if (add_prefix_space_ && !word.starts_with(' ')) word = text.storage.emplace_back(" ").append(word);
      if (regex_) {
        split(word, regex_->matches(word), Behavior::kIsolated, false, parts);
      } else {
        parts.push_back(word);
      }
    });
  }

  Space space(bool as_symbol) const override {
    if (as_symbol) return Space::kUnknown;
    return regex_ ? Space::kSeparates : Space::kWithin;
  }
  std::string signature() const override { return regex_ && !add_prefix_space_ ? kGpt2Pattern : ""; }

 private:
  bool add_prefix_space_;
  std::optional<Regex> regex_;
};

// What ByteLevel does to its words in the end.
class LettersStep : public Step {
 public:
  void apply(Words& text) const override {
    for (std::string_view& word : text.words) word = text.storage.emplace_back(letters_of(word));
  }
  Space space(bool) const override { return Space::kWithin; }
  std::string signature() const override { return "letters"; }
};

class MetaspaceStep : public Step {
 public:
  enum class Prepend { kAlways, kFirst, kNever };

  explicit MetaspaceStep(const Fields& fields)
      : symbol_(fields.text("replacement")),
        prepend_(read_prepend(fields)),
        split_(fields.flag_or("split", true)) {
    std::size_t end = 0;
    if (!symbol_.empty()) next_character(symbol_, end);
    if (symbol_.empty() || end != symbol_.size()) fields.refuse("replacement", "one character");
  }

  void apply(Words& text) const override {
    bool at_start = text.at_start;
    replace_words(text, [&](std::string_view word, std::vector<std::string_view>& parts) {
      std::string& replaced = text.storage.emplace_back();
      for (const char c : word) c == ' ' ? replaced.append(symbol_) : replaced.append(1, c);
      const bool prepends = prepend_ == Prepend::kAlways || (prepend_ == Prepend::kFirst && at_start);
      if (prepends && !replaced.starts_with(symbol_)) replaced.insert(0, symbol_);
      at_start = false;
      if (split_) {
        split_at_symbols(replaced, parts);
      } else {
        parts.push_back(replaced);
      }
    });
  }

  Space space(bool) const override { return split_ ? Space::kSeparates : Space::kWithin; }
  bool makes_symbols() const override { return true; }
  std::string signature() const override { return ""; }

 private:
  static Prepend read_prepend(const Fields& fields) {
    const std::string name = fields.text_or("prepend_scheme", "always");
    if (name == "never" || !fields.flag_or("add_prefix_space", true)) return Prepend::kNever;
    if (name == "first") return Prepend::kFirst;
    if (name != "always") fields.refuse("prepend_scheme", "always, first or never");
    return Prepend::kAlways;
  }

  void split_at_symbols(std::string_view text, std::vector<std::string_view>& parts) const {
    std::vector<Match> matches;
    for (auto at = text.find(symbol_); at != text.npos; at = text.find(symbol_, at + symbol_.size()))
      matches.push_back({at, at + symbol_.size()});
    split(text, matches, Behavior::kMergedWithNext, false, parts);
  }

  std::string symbol_;
  Prepend prepend_;
  bool split_;
};

void read_steps(const SortedJson& value, const std::string& where, Steps& steps) {
  const Fields fields(value, where);
  const std::string kind = fields.text("type");
  if (kind == "Sequence") {
    for (const SortedJson& step : fields.array("pretokenizers"))
      read_steps(step, fields.at("pretokenizers"), steps);
  } else if (kind == "ByteLevel") {
    const bool prefix = fields.flag("add_prefix_space"), regex = fields.flag_or("use_regex", true);
    if (prefix || regex) steps.push_back(std::make_unique<ByteLevelStep>(prefix, regex, where));
    steps.push_back(std::make_unique<LettersStep>());
  } else if (kind == "Split") {
    steps.push_back(std::make_unique<SplitStep>(Pattern(fields.object("pattern")),
                                                read_behavior(fields, "behavior"), fields.flag("invert")));
  } else if (kind == "Digits") {
    const bool single = fields.flag("individual_digits");
    steps.push_back(std::make_unique<CharacterStep>(
        is_numeric, single ? Behavior::kIsolated : Behavior::kContiguous, "digits"));
  } else if (kind == "Punctuation") {
    const Behavior behavior =
        fields.has("behavior") ? read_behavior(fields, "behavior") : Behavior::kIsolated;
    steps.push_back(std::make_unique<CharacterStep>(is_punctuation, behavior, "punctuation"));
  } else if (kind == "Metaspace") {
    steps.push_back(std::make_unique<MetaspaceStep>(fields));
  } else {
    refuse_kind(where, kind, "ByteLevel, Split, Digits, Punctuation, Metaspace or Sequence");
  }
}

// The names that llama.cpp knows among the words of our families (llama_vocab's regular expressions). Its
// "llama-bpe" takes a word that is a piece whole, whatever the merges say; "dbrx" does not.
struct GgmlName {
  const char* name;
  std::vector<std::string> signature;
  bool ignore_merges = false;
};

const std::vector<GgmlName>& ggml_names() {
  static const std::vector<GgmlName> names = {
      {"gpt-2", {kGpt2Pattern}},
      {"qwen2", {kQwen2Pattern}},
      {"llama-bpe", {kLlama3Pattern}, true},
      {"dbrx", {kLlama3Pattern}},
      {"command-r", {"digits isolated", kGpt2Pattern}},
      {"falcon",
       {"punctuation contiguous", kGpt2Pattern, "letters", "digits contiguous", kThreeDigitsPattern}},
      {"bloom", {kBloomPattern}},
      {"deepseek-coder",
       {kDeepSeekLines, kDeepSeekCoderLetters, kDeepSeekCoderPunctuation, kDeepSeekEastAsian,
        "digits isolated"}},
      {"deepseek-llm",
       {kDeepSeekLines, kDeepSeekLetters, kDeepSeekPunctuation, kDeepSeekEnd, kDeepSeekEastAsian,
        "digits isolated"}},
  };
  return names;
}

}  // namespace

PreTokenizer::PreTokenizer(const SortedJson& value, const std::string& where) {
  if (!value.is_null()) read_steps(value, where, steps_);
  // Letters that nothing but the model looks at are left to it.
  gives_bytes_ = !steps_.empty() && dynamic_cast<const LettersStep*>(steps_.back().get()) != nullptr;
  if (gives_bytes_) steps_.pop_back();
}

bool PreTokenizer::is_byte_level() const {
  return gives_bytes_ || std::ranges::any_of(steps_, [](const auto& step) {
           return dynamic_cast<const LettersStep*>(step.get()) != nullptr;
         });
}

Space PreTokenizer::space(bool as_symbol) const {
  Space all = Space::kWithin;
  for (const auto& step : steps_) {
    const Space one = step->space(as_symbol);
    if (one == Space::kUnknown) return Space::kUnknown;
    if (one == Space::kSeparates) all = one;
    as_symbol |= step->makes_symbols();
  }
  return all;
}

PreTokenizer::PreTokenizer(PreTokenizer&&) noexcept = default;
PreTokenizer::~PreTokenizer() = default;

Words PreTokenizer::words(std::string_view text, bool at_start) const {
  Words words{.words = {}, .storage = {}, .at_start = at_start};
  if (!text.empty()) words.words.push_back(text);
  for (const auto& step : steps_) step->apply(words);
  return words;
}

std::string PreTokenizer::ggml_name(bool ignore_merges) const {
  std::vector<std::string> signature;
  for (const auto& step : steps_) signature.push_back(step->signature());
  for (const GgmlName& row : ggml_names())
    if (row.signature == signature && row.ignore_merges == ignore_merges) return row.name;
  return "";
}

}  // namespace regroup::tokenizer
