#include "core/data/formats.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <map>
#include <set>

#include "core/base/file.h"
#include "core/tokenizer/tokenizer.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"

namespace regroup::data {
namespace {

using testing::TempDir;
using testing::user_error_of;

TokenStream sample() {
  TokenStream stream;
  stream.tokens = {1, 500, 7, 1, 3, 1, 511};
  stream.document_starts = {0, 3, 5};
  return stream;
}

template <typename Number>
std::string bytes_of(const std::vector<Number>& numbers) {
  std::string bytes(numbers.size() * sizeof(Number), '\0');
  std::memcpy(bytes.data(), numbers.data(), bytes.size());
  return bytes;
}

std::string llmc_file(std::int32_t magic, std::int32_t version, std::int32_t count, const std::string& ids) {
  std::vector<std::int32_t> header(256);
  header[0] = magic, header[1] = version, header[2] = count;
  return bytes_of(header) + ids;
}

std::filesystem::path file_with(const TempDir& temporary, const std::string& name, std::string_view bytes) {
  std::filesystem::remove(temporary / name);
  write_text(temporary / name, bytes);
  return temporary / name;
}

std::string refused(const std::filesystem::path& file, const ReadOptions& options = {}) {
  return user_error_of([&] { read_tokens({file}, nullptr, options); });
}

// What Megatron's builder writes for documents {0, 2, 3} of three sequences of 3, 2 and 2 ids.
struct MegatronParts {
  std::string magic = std::string("MMIDIDX\0\0", 9);
  std::uint64_t version = 1;
  std::uint8_t dtype = 8;
  std::uint64_t sequences = 3, marks = 3;
  std::vector<std::int32_t> lengths = {3, 2, 2};
  std::vector<std::int64_t> offsets = {0, 6, 10};
  std::vector<std::int64_t> documents = {0, 2, 3};
  std::string ids = bytes_of<std::uint16_t>({1, 500, 7, 1, 3, 1, 511});

  std::filesystem::path write(const TempDir& temporary) const {
    file_with(temporary, "m.idx",
              magic + bytes_of<std::uint64_t>({version}) + static_cast<char>(dtype) +
                  bytes_of<std::uint64_t>({sequences, marks}) + bytes_of(lengths) + bytes_of(offsets) +
                  bytes_of(documents));
    return file_with(temporary, "m.bin", ids);
  }
};

TEST(DataFormats, ReadBackWhatTheyWrite) {
  int written = 0;
  for (const DataFormat& format : data_formats()) {
    if (format.write == nullptr) continue;
    ++written;
    for (const std::int64_t vocab_size : {512, 65500, 65536, 70000}) {
      if (format.name == "nanogpt" && vocab_size > 65536) continue;
      const TempDir temporary;
      TokenStream stream = sample();
      stream.tokens[1] = static_cast<Token>(vocab_size - 1);
      format.write(temporary / "shard", stream, vocab_size, false);
      const auto outputs = format.outputs(temporary / "shard");
      for (const auto& file : outputs) EXPECT_TRUE(std::filesystem::is_regular_file(file)) << file;
      const std::string name = format.recognises == nullptr ? std::string(format.name) : "auto";
      const TokenStream back =
          read_tokens({outputs.front()}, nullptr, {.format = name, .vocab_size = vocab_size});
      EXPECT_EQ(back.tokens, stream.tokens) << format.name;
      const bool keeps_documents = format.name == "megatron";
      EXPECT_EQ(back.document_starts,
                keeps_documents ? stream.document_starts : std::vector<std::int64_t>{0});
      EXPECT_EQ(back.text_bytes, 0);
      EXPECT_CONTAINS(back.convention, "token shards as they are");
    }
  }
  EXPECT_EQ(written, 3);
}

TEST(DataFormats, ReplaceAFileOnlyWhenAsked) {
  for (const DataFormat& format : data_formats()) {
    if (format.write == nullptr) continue;
    const TempDir temporary;
    for (const auto& file : format.outputs(temporary / "shard")) write_text(file, "the user's");
    EXPECT_CONTAINS(user_error_of([&] { format.write(temporary / "shard", sample(), 512, false); }),
                    "exists already");
    EXPECT_EQ(read_text(format.outputs(temporary / "shard").front()), "the user's");
    EXPECT_NO_THROW(format.write(temporary / "shard", sample(), 512, true));
  }
}

TEST(DataFormats, FilesFollowEachOther) {
  const TempDir temporary;
  data_format("megatron").write(temporary / "a", sample(), 512, false);
  data_format("llm.c").write(temporary / "b", sample(), 512, false);
  const TokenStream stream =
      read_tokens({temporary / "b", temporary / "a", temporary / "a.idx"}, nullptr, {});
  EXPECT_EQ(stream.document_starts, (std::vector<std::int64_t>{0, 7, 10, 12, 14, 17, 19}));
  EXPECT_EQ(
      stream.convention,
      "token shards as they are, each one document; token shards as they are, documents from the index");
}

// A file of each format that is not what its name or its header says; no format without one.
TEST(DataFormats, RefuseWhatIsNotOfThem) {
  const TempDir temporary;
  const auto tokenizer = tokenizer::open_tokenizer(std::filesystem::path(REGROUP_SOURCE_DIR) /
                                                   "tests/goldens/tokenizer/llama.model");
  const std::map<std::string_view, std::pair<std::string, std::string>> wrong = {
      {"text", {"a\xff", "is not UTF-8"}},
      {"jsonl", {"{\"text\": 1}\n", "line 1"}},
      {"llm.c", {"no header", "ends too early"}},
      {"megatron", {"ids without an index", "bad.idx: cannot be opened"}},
      {"nanogpt", {"odd", "expected an even number of bytes"}}};
  std::set<std::string_view> names, tested;
  for (const DataFormat& format : data_formats()) names.insert(format.name);
  for (const auto& [name, file] : wrong) {
    tested.insert(name);
    const auto path = file_with(temporary, "bad.bin", file.first);
    EXPECT_CONTAINS(
        user_error_of([&] { read_tokens({path}, tokenizer.get(), {.format = std::string(name)}); }),
        file.second);
    std::filesystem::remove(path);
  }
  EXPECT_EQ(tested, names);
}

TEST(LlmcShard, IsWhatLlmcWrites) {
  const TempDir temporary;
  data_format("llm.c").write(temporary / "a", sample(), 65536, false);
  EXPECT_EQ(read_text(temporary / "a"),
            llmc_file(20240520, 1, 7, bytes_of<std::uint16_t>({1, 500, 7, 1, 3, 1, 511})));
  data_format("llm.c").write(temporary / "b", sample(), 65537, false);
  EXPECT_EQ(read_text(temporary / "b"),
            llmc_file(20240801, 7, 7, bytes_of<std::uint32_t>({1, 500, 7, 1, 3, 1, 511})));
}

TEST(LlmcShard, ThatLiesIsRefused) {
  const TempDir temporary;
  const std::string ids = bytes_of<std::uint16_t>({1, 2, 3});
  const auto with = [&](const std::string& bytes) { return refused(file_with(temporary, "s", bytes)); };
  EXPECT_EQ(
      with(llmc_file(20240520, 1, 4, ids)),
      (temporary / "s").string() +
          ": the file has another size than its header says: expected 1032 bytes (4 tokens of 2 bytes), "
          "found 1030. Was the download cut off?");
  EXPECT_CONTAINS(with(llmc_file(20240520, 1, 2, ids)), "expected 1028 bytes");
  EXPECT_CONTAINS(with(llmc_file(20240801, 7, 3, ids)), "expected 1036 bytes (3 tokens of 4 bytes)");
  EXPECT_CONTAINS(with(llmc_file(20240520, 7, 3, ids)), "found magic 20240520 version 7, 3 tokens");
  EXPECT_CONTAINS(with(llmc_file(20240520, 1, 0, "")), "0 tokens");
  EXPECT_CONTAINS(with(llmc_file(20240520, 1, -1, ids)), "-1 tokens");
  EXPECT_CONTAINS(with(llmc_file(20240520, 1, 3, ids).substr(0, 8)), "ends too early");
}

TEST(Shards, NameTheIdBeyondTheVocabulary) {
  const TempDir temporary;
  const auto file =
      file_with(temporary, "s", llmc_file(20240520, 1, 3, bytes_of<std::uint16_t>({1, 2, 512})));
  EXPECT_EQ(
      refused(file, {.vocab_size = 512}),
      file.string() +
          ": token 2 is beyond the vocabulary: expected ids below 512, found 512. Were these tokens made "
          "with another tokenizer?");
  const auto large =
      file_with(temporary, "l", llmc_file(20240801, 7, 2, bytes_of<std::uint32_t>({1, 0x80000000})));
  EXPECT_CONTAINS(refused(large), "token 1 is beyond the vocabulary: expected ids below 2147483648");
  MegatronParts negative;
  negative.dtype = 3;
  negative.ids = bytes_of<std::int16_t>({1, 500, 7, -1, 3, 1, 511});
  EXPECT_CONTAINS(refused(negative.write(temporary)), "token 3 is beyond the vocabulary");
}

TEST(NanogptShard, IsReadOnlyByName) {
  const TempDir temporary;
  const auto file = file_with(temporary, "n.bin", bytes_of<std::uint16_t>({1, 500, 0xfffe}));
  EXPECT_EQ(read_tokens({file}, nullptr, {.format = "nanogpt"}).tokens, (std::vector<Token>{1, 500, 65534}));
  EXPECT_CONTAINS(refused(file), "is not UTF-8");
  EXPECT_CONTAINS(refused(file), "--data-format nanogpt");
  EXPECT_CONTAINS(refused(file_with(temporary, "odd", "abc"), {.format = "nanogpt"}),
                  "expected an even number of bytes, found 3");
  EXPECT_CONTAINS(
      user_error_of([&] { data_format("nanogpt").write(temporary / "x", sample(), 65537, false); }),
      "nanogpt shards hold uint16 ids");
}

TEST(MegatronDataset, IsWhatMegatronWrites) {
  const TempDir temporary;
  data_format("megatron").write(temporary / "out.v1", sample(), 512, false);
  MegatronParts parts;
  parts.marks = 4;
  parts.documents = {0, 1, 2, 3};
  parts.write(temporary);
  EXPECT_EQ(read_text(temporary / "out.v1.idx"), read_text(temporary / "m.idx"));
  EXPECT_EQ(read_text(temporary / "out.v1.bin"), read_text(temporary / "m.bin"));
}

TEST(MegatronDataset, MayHaveSeveralSequencesInADocumentAndEmptyDocuments) {
  const TempDir temporary;
  MegatronParts parts;
  parts.marks = 4;
  parts.documents = {0, 2, 2, 3};
  const TokenStream stream = read_tokens({parts.write(temporary)}, nullptr, {});
  EXPECT_EQ(stream.tokens, sample().tokens);
  EXPECT_EQ(stream.document_starts, (std::vector<std::int64_t>{0, 5}));
}

TEST(MegatronDataset, ReadsEveryIntegerType) {
  const TempDir temporary;
  const std::vector<Token> expected = {1, 50, 7, 1, 3, 1, 51};
  const auto check_type = [&](std::uint8_t code, auto id) {
    MegatronParts parts;
    parts.dtype = code;
    const auto size = static_cast<std::int64_t>(sizeof(id));
    parts.offsets = {0, 3 * size, 5 * size};
    parts.ids = bytes_of(std::vector<decltype(id)>(expected.begin(), expected.end()));
    EXPECT_EQ(read_tokens({parts.write(temporary)}, nullptr, {}).tokens, expected) << int{code};
  };
  check_type(1, std::uint8_t{});
  check_type(2, std::int8_t{});
  check_type(3, std::int16_t{});
  check_type(4, std::int32_t{});
  check_type(5, std::int64_t{});
  check_type(8, std::uint16_t{});
}

TEST(MegatronDataset, ThatLiesIsRefused) {
  const TempDir temporary;
  const auto with = [&](auto change) {
    MegatronParts parts;
    change(parts);
    return refused(parts.write(temporary));
  };
  using Parts = MegatronParts;
  EXPECT_CONTAINS(with([](Parts& p) { p.version = 2; }), "expected MMIDIDX version 1, found version 2");
  EXPECT_CONTAINS(with([](Parts& p) { p.dtype = 7; }), "expected dtype code 1 to 5 or 8, found 7");
  EXPECT_CONTAINS(with([](Parts& p) { p.sequences = 4; }), "another size than its header says");
  EXPECT_CONTAINS(with([](Parts& p) { p.sequences = ~0ULL / 12; }), "a size that cannot be");
  EXPECT_CONTAINS(with([](Parts& p) { p.marks = ~0ULL; }), "a size that cannot be");
  EXPECT_CONTAINS(with([](Parts& p) { p.sequences = 0; }), "a size that cannot be");
  EXPECT_CONTAINS(with([](Parts& p) { p.lengths[1] = -2; }), "sequence 1 does not follow the one before");
  EXPECT_CONTAINS(with([](Parts& p) { p.offsets[2] = 8; }), "sequence 2 does not follow the one before");
  EXPECT_CONTAINS(with([](Parts& p) { p.documents = {0, 4, 3}; }), "marks ascending from 0 to 3");
  EXPECT_CONTAINS(with([](Parts& p) { p.documents = {0, 1, 2}; }), "found 0 to 2");
  EXPECT_CONTAINS(with([](Parts& p) { p.documents = {1, 2, 3}; }), "found 1 to 3");
  EXPECT_CONTAINS(with([](Parts& p) { p.marks = 0, p.documents = {}; }), "found none");
  EXPECT_CONTAINS(with([](Parts& p) { p.ids.resize(12); }),
                  "expected 14 bytes (7 tokens of 2 bytes in the index)");
  EXPECT_CONTAINS(with([](Parts& p) { p.ids += "xx"; }), "found 16");
  const auto file = MegatronParts().write(temporary);
  std::filesystem::remove(file);
  EXPECT_CONTAINS(refused(temporary / "m"), "m.bin: cannot be opened");
}

}  // namespace
}  // namespace regroup::data
