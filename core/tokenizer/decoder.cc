#include "core/tokenizer/decoder.h"

#include <charconv>
#include <optional>
#include <utility>

#include "core/tokenizer/byte_level.h"
#include "core/tokenizer/fields.h"
#include "core/tokenizer/pattern.h"
#include "core/tokenizer/unicode.h"

namespace regroup::tokenizer {
namespace {

using Texts = std::vector<std::string>;

std::string joined(const Texts& texts) {
  std::string all;
  for (const std::string& text : texts) all += text;
  return all;
}

std::size_t size_of(const Texts& texts) {
  std::size_t size = 0;
  for (const std::string& text : texts) size += text.size();
  return size;
}

class ByteLevel : public Decoder {
 public:
  Texts decode(Texts texts) const override {
    std::string bytes;
    for (const std::string& text : texts) bytes += bytes_of(text).value_or(text);
    return {to_utf8(bytes)};
  }
};

// Pieces that name bytes, in a row, are the characters they make; U+FFFD for each if they make none.
class ByteFallback : public Decoder {
 public:
  Texts decode(Texts texts) const override {
    Texts result;
    std::string bytes;
    const auto flush = [&] {
      if (is_utf8(bytes)) {
        result.push_back(bytes);
      } else {
        result.insert(result.end(), bytes.size(), "\xef\xbf\xbd");
      }
      bytes.clear();
    };
    for (std::string& text : texts) {
      if (const auto byte = byte_named(text)) {
        bytes.push_back(*byte);
        continue;
      }
      if (!bytes.empty()) flush();
      result.push_back(std::move(text));
    }
    if (!bytes.empty()) flush();
    return result;
  }

 private:
  static std::optional<char> byte_named(const std::string& text) {
    if (text.size() != 6 || !text.starts_with("<0x") || text.back() != '>') return std::nullopt;
    unsigned value = 0;
    const auto [end, error] = std::from_chars(text.data() + 3, text.data() + 5, value, 16);
    if (error != std::errc() || end != text.data() + 5) return std::nullopt;
    return static_cast<char>(value);
  }
};

class Fuse : public Decoder {
 public:
  Texts decode(Texts texts) const override { return {joined(texts)}; }
};

class ReplaceText : public Decoder {
 public:
  explicit ReplaceText(const Fields& fields)
      : pattern_(fields.object("pattern")), content_(fields.text("content")) {}
  Texts decode(Texts texts) const override {
    for (std::string& text : texts) text = pattern_.replace(text, content_);
    return texts;
  }

 private:
  Pattern pattern_;
  std::string content_;
};

// Takes up to so many of one character off each end.
class Strip : public Decoder {
 public:
  explicit Strip(const Fields& fields)
      : content_(fields.text("content")), start_(fields.number("start")), stop_(fields.number("stop")) {
    if (content_.empty()) fields.refuse("content", "a character");
  }
  Texts decode(Texts texts) const override {
    for (std::string& text : texts) {
      for (std::int64_t i = 0; i < start_ && text.starts_with(content_); ++i) text.erase(0, content_.size());
      for (std::int64_t i = 0; i < stop_ && text.ends_with(content_); ++i)
        text.resize(text.size() - content_.size());
    }
    return texts;
  }

 private:
  std::string content_;
  std::int64_t start_, stop_;
};

class Metaspace : public Decoder {
 public:
  explicit Metaspace(const Fields& fields)
      : symbol_(fields.text("replacement")),
        drops_first_(fields.text_or("prepend_scheme", "always") != "never" &&
                     fields.flag_or("add_prefix_space", true)) {
    if (symbol_.empty()) fields.refuse("replacement", "a character");
  }
  Texts decode(Texts texts) const override {
    for (std::size_t i = 0; i < texts.size(); ++i)
      texts[i] = with_spaces(texts[i], i == 0 && drops_first_ ? "" : " ");
    return texts;
  }

 private:
  std::string with_spaces(const std::string& text, const char* space) const {
    std::string result;
    std::size_t done = 0;
    for (auto at = text.find(symbol_); at != text.npos; at = text.find(symbol_, done)) {
      result.append(text, done, at - done).append(space);
      done = at + symbol_.size();
    }
    return result.append(text, done);
  }

  std::string symbol_;
  bool drops_first_;
};

class Sequence : public Decoder {
 public:
  explicit Sequence(std::vector<std::unique_ptr<const Decoder>> steps) : steps_(std::move(steps)) {}
  Texts decode(Texts texts) const override {
    const std::size_t before = size_of(texts);
    for (const auto& step : steps_) {
      texts = step->decode(std::move(texts));
      refuse_growth(before, size_of(texts));
    }
    return texts;
  }

 private:
  std::vector<std::unique_ptr<const Decoder>> steps_;
};

class Spaces : public Decoder {
 public:
  Texts decode(Texts texts) const override {
    for (std::size_t i = 1; i < texts.size(); ++i) texts[i].insert(0, " ");
    return texts;
  }
};

}  // namespace

std::unique_ptr<const Decoder> read_decoder(const SortedJson& value, const std::string& where) {
  if (value.is_null()) return std::make_unique<Spaces>();
  const Fields fields(value, where);
  const std::string kind = fields.text("type");
  if (kind == "ByteLevel") return std::make_unique<ByteLevel>();
  if (kind == "ByteFallback") return std::make_unique<ByteFallback>();
  if (kind == "Fuse") return std::make_unique<Fuse>();
  if (kind == "Replace") return std::make_unique<ReplaceText>(fields);
  if (kind == "Strip") return std::make_unique<Strip>(fields);
  if (kind == "Metaspace") return std::make_unique<Metaspace>(fields);
  if (kind != "Sequence")
    refuse_kind(where, kind, "ByteLevel, ByteFallback, Fuse, Replace, Strip, Metaspace or Sequence");
  std::vector<std::unique_ptr<const Decoder>> steps;
  for (const SortedJson& step : fields.array("decoders"))
    steps.push_back(read_decoder(step, fields.at("decoders")));
  return std::make_unique<Sequence>(std::move(steps));
}

}  // namespace regroup::tokenizer
