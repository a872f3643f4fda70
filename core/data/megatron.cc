#include "core/data/megatron.h"

#include <fmt/format.h>

#include <limits>
#include <numeric>
#include <optional>
#include <string_view>

#include "core/base/output_file.h"
#include "core/data/shard_file.h"

namespace regroup::data {
namespace {

constexpr std::string_view kMagic("MMIDIDX\0\0", 9);
constexpr std::uint64_t kVersion = 1, kHeaderBytes = 34;

enum class IdType : std::uint8_t { kUint8 = 1, kInt8 = 2, kInt16 = 3, kInt32 = 4, kInt64 = 5, kUint16 = 8 };

struct Index {
  IdType type;
  std::vector<std::int32_t> lengths;
  std::vector<std::int64_t> documents;  // the first sequence of each, and the number of sequences
};

// Calls `use` with a number of the type that the ids have.
template <typename Use>
void with_type(IdType type, Use use) {
  switch (type) {
    case IdType::kUint8:
      return use(std::uint8_t{});
    case IdType::kInt8:
      return use(std::int8_t{});
    case IdType::kInt16:
      return use(std::int16_t{});
    case IdType::kInt32:
      return use(std::int32_t{});
    case IdType::kInt64:
      return use(std::int64_t{});
    case IdType::kUint16:
      return use(std::uint16_t{});
  }
}

std::uint64_t id_bytes(IdType type) {
  std::uint64_t bytes = 0;
  with_type(type, [&](auto id) { bytes = sizeof(id); });
  return bytes;
}

[[noreturn]] void malformed(const File& file, std::string what, std::string expected, std::string found) {
  throw UserError({.where = file.path().string(),
                   .what = "not a Megatron index: " + what,
                   .expected = std::move(expected),
                   .found = std::move(found)});
}

std::filesystem::path with_extension(const std::filesystem::path& path, const char* extension) {
  const bool is_one_of_the_pair = path.extension() == ".bin" || path.extension() == ".idx";
  std::filesystem::path named = path;
  if (is_one_of_the_pair) named.replace_extension();
  return named += extension;
}

template <typename Number>
std::vector<Number> read_array(const File& file, std::uint64_t& offset, std::uint64_t count) {
  std::vector<Number> numbers(count);
  file.read_at(offset, std::as_writable_bytes(std::span(numbers)));
  offset += count * sizeof(Number);
  return numbers;
}

template <typename Number>
Number read_number(const File& file, std::uint64_t& offset) {
  return read_array<Number>(file, offset, 1).front();
}

// The sizes that the header gives, which must be those of the file.
struct Sizes {
  std::uint64_t sequences, documents;
};

Sizes read_sizes(const File& file, std::uint64_t& offset) {
  const auto sequences = read_number<std::uint64_t>(file, offset);
  const auto documents = read_number<std::uint64_t>(file, offset);
  const std::uint64_t most = file.size() / 8;  // of either, so that the sums below cannot overflow
  if (sequences == 0 || sequences > most || documents > most)
    malformed(file, "a size that cannot be", "sequences that fit into the file",
              fmt::format("{} sequences, {} document marks", sequences, documents));
  require_size(file, kHeaderBytes + sequences * 12 + documents * 8,
               fmt::format("{} sequences without modes, {} document marks", sequences, documents));
  return {sequences, documents};
}

void require_neighbours(const File& file, const Index& index, const std::vector<std::int64_t>& offsets) {
  std::int64_t expected = 0;
  for (std::size_t i = 0; i < offsets.size(); ++i) {
    if (index.lengths[i] < 0 || offsets[i] != expected)
      malformed(file, fmt::format("sequence {} does not follow the one before", i),
                fmt::format("a length and byte {}", expected),
                fmt::format("length {}, byte {}", index.lengths[i], offsets[i]));
    expected += index.lengths[i] * static_cast<std::int64_t>(id_bytes(index.type));
  }
}

void require_documents(const File& file, const Index& index) {
  const auto& marks = index.documents;
  const auto sequences = static_cast<std::int64_t>(index.lengths.size());
  if (marks.empty() || marks.front() != 0 || marks.back() != sequences || !std::ranges::is_sorted(marks))
    malformed(file, "documents that are not in order", fmt::format("marks ascending from 0 to {}", sequences),
              marks.empty() ? "none" : fmt::format("{} to {}", marks.front(), marks.back()));
}

Index read_index(const std::filesystem::path& path) {
  const File file = File::open_for_reading(path);
  std::string magic(kMagic.size(), '\0');
  file.read_at(0, std::as_writable_bytes(std::span(magic)));
  std::uint64_t offset = kMagic.size();
  const auto version = read_number<std::uint64_t>(file, offset);
  if (magic != kMagic || version != kVersion)
    malformed(file, "another header", "MMIDIDX version 1", fmt::format("version {}", version));
  Index index{
      .type = static_cast<IdType>(read_number<std::uint8_t>(file, offset)), .lengths = {}, .documents = {}};
  if (id_bytes(index.type) == 0)
    malformed(file, "ids that are no integers", "dtype code 1 to 5 or 8",
              fmt::format("{}", static_cast<int>(index.type)));
  const Sizes sizes = read_sizes(file, offset);
  index.lengths = read_array<std::int32_t>(file, offset, sizes.sequences);
  require_neighbours(file, index, read_array<std::int64_t>(file, offset, sizes.sequences));
  index.documents = read_array<std::int64_t>(file, offset, sizes.documents);
  require_documents(file, index);
  return index;
}

void mark_documents(const Index& index, TokenStream& stream) {
  auto at = static_cast<std::int64_t>(stream.tokens.size());
  for (std::size_t i = 0; i + 1 < index.documents.size(); ++i) {
    const auto begin = index.lengths.begin() + index.documents[i];
    const auto end = index.lengths.begin() + index.documents[i + 1];
    const std::int64_t tokens = std::accumulate(begin, end, std::int64_t{0});
    if (tokens > 0) stream.document_starts.push_back(at);
    at += tokens;
  }
}

// One sequence a document.
std::vector<std::byte> index_bytes(const TokenStream& stream, IdType type,
                                   const std::filesystem::path& path) {
  const std::size_t documents = stream.document_starts.size();
  std::vector<std::byte> bytes(kMagic.size());
  std::ranges::copy(std::as_bytes(std::span(kMagic)), bytes.begin());
  append_number(bytes, kVersion);
  append_number(bytes, type);
  append_number(bytes, std::uint64_t{documents});
  append_number(bytes, std::uint64_t{documents + 1});
  for (std::size_t i = 0; i < documents; ++i) {
    const auto end =
        i + 1 < documents ? stream.document_starts[i + 1] : static_cast<std::int64_t>(stream.tokens.size());
    const std::int64_t length = end - stream.document_starts[i];
    if (length > std::numeric_limits<std::int32_t>::max())
      throw UserError({.where = path.string(),
                       .what = fmt::format("document {} is too long for a Megatron dataset", i),
                       .expected = "fewer than 2^31 tokens",
                       .found = fmt::format("{}", length)});
    append_number(bytes, static_cast<std::int32_t>(length));
  }
  for (const std::int64_t start : stream.document_starts)
    append_number(bytes, start * static_cast<std::int64_t>(id_bytes(type)));
  for (std::size_t i = 0; i <= documents; ++i) append_number(bytes, static_cast<std::int64_t>(i));
  return bytes;
}

}  // namespace

bool is_megatron(const std::filesystem::path& path) {
  const std::filesystem::path index = with_extension(path, ".idx");
  const bool named =
      path.extension() == ".bin" || path.extension() == ".idx" || !std::filesystem::exists(path);
  if (!named || !std::filesystem::is_regular_file(index)) return false;
  const File file = File::open_for_reading(index);
  if (file.size() < kMagic.size()) return false;
  std::string magic(kMagic.size(), '\0');
  file.read_at(0, std::as_writable_bytes(std::span(magic)));
  return magic == kMagic;
}

void read_megatron(const std::filesystem::path& path, const tokenizer::Tokenizer*, const ReadOptions& options,
                   TokenStream& stream) {
  const Index index = read_index(with_extension(path, ".idx"));
  const File file = File::open_for_reading(with_extension(path, ".bin"));
  const std::int64_t tokens = std::accumulate(index.lengths.begin(), index.lengths.end(), std::int64_t{0});
  if (tokens == 0) throw UserError({.where = path.string(), .what = "holds no tokens"});
  const auto count = static_cast<std::uint64_t>(tokens);
  require_size(file, count * id_bytes(index.type),
               fmt::format("{} tokens of {} bytes in the index", count, id_bytes(index.type)));
  mark_documents(index, stream);
  with_type(index.type,
            [&](auto id) { append_ids<decltype(id)>(file, 0, count, options.vocab_size, stream.tokens); });
  stream.convention = "token shards as they are, documents from the index";
}

void write_megatron(const std::filesystem::path& path, const TokenStream& stream, std::int64_t vocab_size,
                    bool overwrite) {
  constexpr std::int64_t kMegatronUint16 = 65500;  // where its own builder changes over
  const IdType type = vocab_size < kMegatronUint16 ? IdType::kUint16 : IdType::kInt32;
  const auto index = index_bytes(stream, type, path);
  std::vector<std::byte> ids;
  with_type(type, [&](auto id) { append_tokens<decltype(id)>(ids, stream.tokens); });
  write_output_file(with_extension(path, ".bin"), ids, overwrite);
  write_output_file(with_extension(path, ".idx"), index, overwrite);
}

std::vector<std::filesystem::path> megatron_files(const std::filesystem::path& path) {
  return {with_extension(path, ".bin"), with_extension(path, ".idx")};
}

}  // namespace regroup::data
