#include "core/data/shard_formats.h"

#include <fmt/format.h>

#include <array>
#include <limits>

#include "core/base/output_file.h"
#include "core/data/shard_file.h"

namespace regroup::data {
namespace {

// llm.c: 256 int32, of which three are used, then the ids.
struct LlmcVersion {
  std::int32_t magic, version;
  std::uint64_t id_bytes;
};
constexpr LlmcVersion kUint16 = {20240520, 1, 2}, kUint32 = {20240801, 7, 4};
constexpr std::uint64_t kHeaderBytes = 256 * sizeof(std::int32_t);
constexpr std::int64_t kUint16Ids = 65536;
constexpr const char* kShardConvention = "token shards as they are, each one document";

const LlmcVersion* version_of(std::int32_t magic) {
  for (const LlmcVersion* known : {&kUint16, &kUint32})
    if (known->magic == magic) return known;
  return nullptr;
}

void start_document(TokenStream& stream) {
  stream.document_starts.push_back(static_cast<std::int64_t>(stream.tokens.size()));
  stream.convention = kShardConvention;
}

}  // namespace

bool is_llmc(const std::filesystem::path& path) {
  if (!std::filesystem::is_regular_file(path)) return false;
  const File file = File::open_for_reading(path);
  std::int32_t magic = 0;
  if (file.size() < sizeof(magic)) return false;
  file.read_at(0, std::as_writable_bytes(std::span(&magic, 1)));
  return version_of(magic) != nullptr;
}

void read_llmc(const std::filesystem::path& path, const tokenizer::Tokenizer*, const ReadOptions& options,
               TokenStream& stream) {
  const File file = File::open_for_reading(path);
  std::array<std::int32_t, 3> header = {};
  file.read_at(0, std::as_writable_bytes(std::span(header)));
  const auto [magic, version, count] = header;
  const LlmcVersion* known = version_of(magic);
  if (known == nullptr || known->version != version || count <= 0)
    throw UserError({.where = path.string(),
                     .what = "not an llm.c token shard",
                     .expected = "magic 20240520 version 1 or magic 20240801 version 7, and tokens",
                     .found = fmt::format("magic {} version {}, {} tokens", magic, version, count)});
  const auto tokens = static_cast<std::uint64_t>(count);
  require_size(file, kHeaderBytes + tokens * known->id_bytes,
               fmt::format("{} tokens of {} bytes", count, known->id_bytes));
  start_document(stream);
  if (known == &kUint16)
    append_ids<std::uint16_t>(file, kHeaderBytes, tokens, options.vocab_size, stream.tokens);
  else
    append_ids<std::uint32_t>(file, kHeaderBytes, tokens, options.vocab_size, stream.tokens);
}

void write_llmc(const std::filesystem::path& path, const TokenStream& stream, std::int64_t vocab_size,
                bool overwrite) {
  constexpr std::size_t kMost = std::numeric_limits<std::int32_t>::max();
  if (stream.tokens.size() > kMost)
    throw UserError({.where = path.string(),
                     .what = "too many tokens for one llm.c shard",
                     .expected = fmt::format("at most {}", kMost),
                     .found = fmt::format("{}", stream.tokens.size()),
                     .remedy = "Tokenize fewer files at a time, or write --format megatron"});
  const LlmcVersion& version = vocab_size <= kUint16Ids ? kUint16 : kUint32;
  std::array<std::int32_t, 256> header = {version.magic, version.version,
                                          static_cast<std::int32_t>(stream.tokens.size())};
  std::vector<std::byte> bytes;
  bytes.reserve(kHeaderBytes + stream.tokens.size() * version.id_bytes);
  const auto raw = std::as_bytes(std::span(header));
  bytes.insert(bytes.end(), raw.begin(), raw.end());
  if (&version == &kUint16)
    append_tokens<std::uint16_t>(bytes, stream.tokens);
  else
    append_tokens<std::uint32_t>(bytes, stream.tokens);
  write_output_file(path, bytes, overwrite);
}

void read_nanogpt(const std::filesystem::path& path, const tokenizer::Tokenizer*, const ReadOptions& options,
                  TokenStream& stream) {
  const File file = File::open_for_reading(path);
  if (file.size() % 2 != 0)
    throw UserError({.where = path.string(),
                     .what = "not a row of uint16 ids",
                     .expected = "an even number of bytes",
                     .found = std::to_string(file.size())});
  start_document(stream);
  append_ids<std::uint16_t>(file, 0, file.size() / 2, options.vocab_size, stream.tokens);
}

void write_nanogpt(const std::filesystem::path& path, const TokenStream& stream, std::int64_t vocab_size,
                   bool overwrite) {
  if (vocab_size > kUint16Ids)
    throw UserError({.where = path.string(),
                     .what = "nanogpt shards hold uint16 ids",
                     .expected = fmt::format("a vocabulary of at most {}", kUint16Ids),
                     .found = fmt::format("{}", vocab_size),
                     .remedy = "Write --format llm.c or megatron"});
  std::vector<std::byte> bytes;
  append_tokens<std::uint16_t>(bytes, stream.tokens);
  write_output_file(path, bytes, overwrite);
}

std::vector<std::filesystem::path> one_file(const std::filesystem::path& path) {
  return {path};
}

}  // namespace regroup::data
