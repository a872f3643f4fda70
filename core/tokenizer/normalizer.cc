#include "core/tokenizer/normalizer.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "core/tokenizer/fields.h"
#include "core/tokenizer/pattern.h"
#include "core/tokenizer/unicode.h"

namespace regroup::tokenizer {
namespace {

constexpr std::string_view kSpaceSymbol = "\xe2\x96\x81";  // U+2581

class UnicodeForm : public Normalizer {
 public:
  explicit UnicodeForm(Form form) : form_(form) {}
  std::string normalize(std::string text) const override { return tokenizer::normalize(form_, text); }
  // A compatibility form can put any character beside the space.
  Cut cut() const override {
    return form_ == Form::kNfc || form_ == Form::kNfd ? Cut::kKept : Cut::kAsciiKept;
  }

 private:
  Form form_;
};

class Replace : public Normalizer {
 public:
  Replace(Pattern pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}
  std::string normalize(std::string text) const override { return pattern_.replace(text, content_); }
  Cut cut() const override { return is_space_symbol() ? Cut::kSymbol : Cut::kUnknown; }
  bool is_space_symbol() const { return pattern_.literal() == " " && content_ == kSpaceSymbol; }

 private:
  Pattern pattern_;
  std::string content_;
};

class Prepend : public Normalizer {
 public:
  explicit Prepend(std::string content) : content_(std::move(content)) {}
  std::string normalize(std::string text) const override { return text.empty() ? text : content_ + text; }
  Cut cut() const override { return Cut::kUnknown; }
  bool is_space_symbol() const { return content_ == kSpaceSymbol; }

 private:
  std::string content_;
};

class Sequence : public Normalizer {
 public:
  explicit Sequence(std::vector<std::unique_ptr<const Normalizer>> steps) : steps_(std::move(steps)) {}

  std::string normalize(std::string text) const override {
    const std::size_t before = text.size();
    for (const auto& step : steps_) {
      text = step->normalize(std::move(text));
      refuse_growth(before, text.size());
    }
    return text;
  }

  Cut cut() const override {
    if (steps_.size() == 1) return steps_[0]->cut();
    return steps_.empty() ? Cut::kKept : puts_space_symbols() ? Cut::kSymbolPutFirst : Cut::kUnknown;
  }

 private:
  // As SentencePiece does: U+2581 before the text and for every space.
  bool puts_space_symbols() const {
    if (steps_.size() != 2) return false;
    const auto* prepend = dynamic_cast<const Prepend*>(steps_[0].get());
    const auto* replace = dynamic_cast<const Replace*>(steps_[1].get());
    return prepend && replace && prepend->is_space_symbol() && replace->is_space_symbol();
  }

  std::vector<std::unique_ptr<const Normalizer>> steps_;
};

constexpr std::array<std::pair<std::string_view, Form>, 4> kForms = {
    {{"NFC", Form::kNfc}, {"NFD", Form::kNfd}, {"NFKC", Form::kNfkc}, {"NFKD", Form::kNfkd}}};

}  // namespace

std::unique_ptr<const Normalizer> read_normalizer(const SortedJson& value, const std::string& where) {
  if (value.is_null()) return nullptr;
  const Fields fields(value, where);
  const std::string kind = fields.text("type");
  const auto form = std::ranges::find(kForms, kind, &decltype(kForms)::value_type::first);
  if (form != kForms.end()) return std::make_unique<UnicodeForm>(form->second);
  if (kind == "Replace")
    return std::make_unique<Replace>(Pattern(fields.object("pattern")), fields.text("content"));
  if (kind == "Prepend") return std::make_unique<Prepend>(fields.text("prepend"));
  if (kind != "Sequence") refuse_kind(where, kind, "NFC, NFD, NFKC, NFKD, Replace, Prepend or Sequence");
  std::vector<std::unique_ptr<const Normalizer>> steps;
  for (const SortedJson& step : fields.array("normalizers"))
    if (auto one = read_normalizer(step, fields.at("normalizers"))) steps.push_back(std::move(one));
  return std::make_unique<Sequence>(std::move(steps));
}

}  // namespace regroup::tokenizer
