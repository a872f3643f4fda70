#include "core/data/text_formats.h"

#include <algorithm>
#include <vector>

#include "core/base/error.h"
#include "core/base/json.h"
#include "core/base/text_reader.h"
#include "core/data/encode.h"

namespace regroup::data {
namespace {

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

const tokenizer::Tokenizer& need(const tokenizer::Tokenizer* tokenizer, const std::filesystem::path& path) {
  if (tokenizer == nullptr)
    throw UserError({.where = path.string(),
                     .what = "text without a tokenizer",
                     .remedy = "Give a model directory with a tokenizer, or token shards"});
  return *tokenizer;
}

[[noreturn]] void no_documents(const std::filesystem::path& path) {
  throw UserError({.where = path.string(), .what = "holds no text"});
}

std::string_view without_mark(std::string_view text) {
  return text.starts_with(kByteOrderMark) ? text.substr(kByteOrderMark.size()) : text;
}

// Takes a line off the front of `rest`, its end included.
std::string_view take_line(std::string_view& rest) {
  const std::size_t size = std::min(rest.find('\n'), rest.size() - 1) + 1;
  const std::string_view line = rest.substr(0, size);
  rest.remove_prefix(size);
  return line;
}

bool is_blank(std::string_view line) {
  return line.find_first_not_of(" \t\r\n") == line.npos;
}

std::string text_of_line(const Json& object, const std::string& where) {
  const auto text = object.is_object() ? object.find("text") : object.end();
  if (text == object.end() || !text->is_string())
    throw UserError({.where = where,
                     .what = "no document",
                     .expected = "an object with a \"text\" that is a string",
                     .found = object.is_object() ? "none" : object.type_name()});
  return text->get<std::string>();
}

// Empty when it does not begin like an object, or is longer than a document of JSON lines needs to be for its
// format to be recognised.
std::string first_line_of_objects(const std::filesystem::path& path) {
  constexpr std::size_t kBlock = 64 << 10, kLongest = 64 << 20;
  TextReader reader(path);
  std::vector<char> block(kBlock);
  std::string line;
  for (std::size_t got = block.size(); got == block.size() && line.size() < kLongest;) {
    got = reader.read(block);
    const std::string_view piece(block.data(), got);
    if (line.empty() && !piece.starts_with('{')) return "";
    const std::size_t end = piece.find('\n');
    line += piece.substr(0, end);
    if (end != piece.npos || got < block.size()) return line;
  }
  return "";
}

}  // namespace

void read_text_file(const std::filesystem::path& path, const tokenizer::Tokenizer* tokenizer,
                    const ReadOptions& options, TokenStream& stream) {
  const std::string text = read_unpacked_text(path);
  require_utf8(text, path.string());
  const auto& encoder = need(tokenizer, path);
  const auto documents = split_documents(without_mark(text));
  if (documents.empty()) no_documents(path);
  encode_documents(documents, encoder, options, stream);
  stream.convention = convention_of("documents apart by lines holding only <|endoftext|>", encoder, options);
}

bool is_jsonl(const std::filesystem::path& path) {
  const std::filesystem::path name = path.extension() == ".gz" ? path.stem() : path;
  if (name.extension() == ".jsonl") return true;
  if (!std::filesystem::is_regular_file(path)) return false;  // PREFIX of a pair; or to be refused on reading
  const Json object = Json::parse(first_line_of_objects(path), nullptr, /*allow_exceptions=*/false);
  return object.is_object() && object.contains("text") && object["text"].is_string();
}

void for_each_json_line(const std::filesystem::path& path,
                        const std::function<void(const Json& value, const std::string& where)>& take) {
  const std::string file = read_unpacked_text(path);
  require_utf8(file, path.string());
  std::string_view rest = without_mark(file);
  for (int line_number = 1; !rest.empty(); ++line_number) {
    const std::string_view line = take_line(rest);
    if (is_blank(line)) continue;
    const std::string where = path.string() + ", line " + std::to_string(line_number);
    take(parse_json(line, where), where);
  }
}

void read_jsonl_file(const std::filesystem::path& path, const tokenizer::Tokenizer* tokenizer,
                     const ReadOptions& options, TokenStream& stream) {
  const auto& encoder = need(tokenizer, path);
  std::vector<std::string> texts;
  for_each_json_line(path, [&](const Json& value, const std::string& where) {
    texts.push_back(text_of_line(value, where));
  });
  std::vector<std::string_view> documents;
  for (const std::string& text : texts)
    if (const std::string_view document = strip_newlines(text); !document.empty())
      documents.push_back(document);
  if (documents.empty()) no_documents(path);
  encode_documents(documents, encoder, options, stream);
  stream.convention = convention_of("a document is the \"text\" of a line", encoder, options);
}

}  // namespace regroup::data
