// Whatever the bytes of a text, plain or under gzip, reading it ends in the documents that it holds or in a
// UserError, and the pieces that a reader hands out are the whole. The first byte chooses the format.
#include <cstring>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/text_reader.h"
#include "core/data/token_stream.h"
#include "tests/fuzz/data_formats.h"
#include "tests/fuzz/support.h"

namespace {

using namespace regroup;
using tokenizer::Token;

constexpr Token kStart = 256;

// A token for every byte, and one that starts a document.
class Bytes : public tokenizer::Tokenizer {
 public:
  std::vector<Token> encode(std::string_view text) const override {
    std::vector<Token> ids;
    for (const char byte : text) ids.push_back(static_cast<unsigned char>(byte));
    return ids;
  }
  std::string decode(std::span<const Token> ids) const override { return {ids.begin(), ids.end()}; }
  std::int64_t vocab_size() const override { return kStart + 1; }
  std::optional<Token> document_start() const override { return kStart; }
  std::optional<Token> end_of_sequence() const override { return std::nullopt; }
  tokenizer::Vocabulary vocabulary() const override { return {}; }
};

void require_sound(const data::TokenStream& stream) {
  const std::size_t documents = stream.document_starts.size();
  fuzz::require(documents > 0 && stream.document_starts.front() == 0);
  fuzz::require(stream.tokens.size() == documents + static_cast<std::size_t>(stream.text_bytes));
  std::size_t starts = 0;
  for (const Token token : stream.tokens) starts += token == kStart;
  fuzz::require(starts == documents);
  for (const std::int64_t start : stream.document_starts)
    fuzz::require(stream.tokens[static_cast<std::size_t>(start)] == kStart);
}

std::string in_pieces(const std::filesystem::path& path, std::size_t size) {
  TextReader reader(path);
  std::string text, piece(size, '\0');
  for (std::size_t got = size; got == size;) {
    got = reader.read(piece);
    text.append(piece, 0, got);
  }
  return text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  static const std::vector<std::string> formats = fuzz::formats_to_read(/*is_text=*/true);
  constexpr std::uint64_t kMost = 1 << 16;  // a few bytes of gzip are a long text
  static const Bytes bytes;
  const fuzz::TemporaryFolder folder;
  const std::filesystem::path file = folder.path / "text";
  write_text(file, {reinterpret_cast<const char*>(data + 1), size - 1});
  try {
    const std::string text = read_unpacked_text(file, kMost);
    for (const std::size_t piece : {7, 4096}) fuzz::require(in_pieces(file, piece) == text);
    const std::string& format = formats[data[0] % formats.size()];
    require_sound(data::read_tokens({file}, &bytes, {.format = format, .threads = 1}));
  } catch (const UserError& error) {
    fuzz::require(std::strlen(error.what()) < 2000);
  }
  return 0;
}
