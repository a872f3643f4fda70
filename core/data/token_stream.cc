#include "core/data/token_stream.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/data/formats.h"
#include "core/data/ids.h"

namespace regroup::data {
namespace {

constexpr std::string_view kSeparator = "<|endoftext|>";

// How many bytes the well-formed character at the front of `text` has (Unicode 15, table 3-7); 0 if none.
std::size_t character_size(std::string_view text) {
  const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  const auto follows = [&](std::size_t i) { return (byte(i) & 0xc0) == 0x80; };
  const unsigned lead = byte(0), second = byte(1);
  if (lead < 0x80) return 1;
  if (lead < 0xc2) return 0;  // a continuation, or an overlong form
  if (lead < 0xe0) return follows(1) ? 2 : 0;
  if (lead < 0xf0) {
    const bool overlong = lead == 0xe0 && second < 0xa0, surrogate = lead == 0xed && second > 0x9f;
    return follows(1) && follows(2) && !overlong && !surrogate ? 3 : 0;
  }
  const bool overlong = lead == 0xf0 && second < 0x90, too_large = lead == 0xf4 && second > 0x8f;
  return lead < 0xf5 && follows(1) && follows(2) && follows(3) && !overlong && !too_large ? 4 : 0;
}

const DataFormat& format_of(const std::filesystem::path& path, const std::string& name) {
  if (name != "auto") return data_format(name);
  for (const DataFormat& format : data_formats())
    if (format.recognises != nullptr && format.recognises(path)) return format;
  return data_format("text");
}

}  // namespace

void refuse_id(const std::filesystem::path& path, std::int64_t position, std::int64_t id,
               std::int64_t limit) {
  throw UserError({.where = path.string(),
                   .what = fmt::format("token {} is beyond the vocabulary", position),
                   .expected = fmt::format("ids below {}", limit),
                   .found = fmt::format("{}", id),
                   .remedy = "Were these tokens made with another tokenizer?"});
}

void require_utf8(std::string_view text, const std::string& where) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t size = character_size(text.substr(at));
    if (size == 0)
      throw UserError({.where = where,
                       .what = fmt::format("byte {} is not UTF-8", at),
                       .found = fmt::format("0x{:02x}", static_cast<unsigned char>(text[at])),
                       .remedy = "Convert it with iconv; token shards without a header are read with "
                                 "--data-format nanogpt"});
    at += size;
  }
}

std::string_view strip_newlines(std::string_view text) {
  while (text.starts_with('\n') || text.starts_with("\r\n")) text.remove_prefix(text.front() == '\n' ? 1 : 2);
  while (text.ends_with('\n')) text.remove_suffix(text.ends_with("\r\n") ? 2 : 1);
  return text;
}

std::vector<std::string_view> split_documents(std::string_view text) {
  std::vector<std::string_view> documents;
  std::size_t begin = 0;
  const auto close = [&](std::size_t end) {
    const std::string_view document = strip_newlines(text.substr(begin, end - begin));
    if (!document.empty()) documents.push_back(document);
  };
  for (std::size_t at = text.find(kSeparator); at != text.npos; at = text.find(kSeparator, at + 1)) {
    const std::string_view after = text.substr(at + kSeparator.size());
    const bool line_ends =
        after.empty() || after.front() == '\n' || after == "\r" || after.starts_with("\r\n");
    const bool line_begins = at == 0 || text[at - 1] == '\n';
    if (!line_begins || !line_ends) continue;
    close(at);
    begin = at + kSeparator.size();
    if (after == "\r") ++begin;
  }
  close(text.size());
  return documents;
}

bool needs_tokenizer(const std::vector<std::filesystem::path>& files, const std::string& format) {
  return std::ranges::any_of(files, [&](const auto& path) { return format_of(path, format).is_text; });
}

TokenStream read_tokens(const std::vector<std::filesystem::path>& files,
                        const tokenizer::Tokenizer* tokenizer, const ReadOptions& options) {
  if (files.empty()) throw UserError({.where = "data", .what = "no files"});
  TokenStream stream;
  std::vector<std::string> conventions;
  for (const auto& path : files) {
    if (std::filesystem::is_regular_file(path) && std::filesystem::file_size(path) == 0)
      throw UserError({.where = path.string(), .what = "is empty"});
    const std::size_t from = stream.tokens.size();
    format_of(path, options.format).read(path, tokenizer, options, stream);
    require_ids(std::span<const Token>(stream.tokens).subspan(from), options.vocab_size, path);
    stream.sources.push_back(path.string());
    stream.source_starts.push_back(static_cast<std::int64_t>(from));
    if (std::ranges::find(conventions, stream.convention) == conventions.end())
      conventions.push_back(stream.convention);
  }
  stream.convention = fmt::format("{}", fmt::join(conventions, "; "));
  return stream;
}

}  // namespace regroup::data
