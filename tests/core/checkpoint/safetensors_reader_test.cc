#include <gtest/gtest.h>

#include <ctime>
#include <string>

#include "core/checkpoint/safetensors.h"
#include "tests/support/checkpoint_files.h"
#include "tests/support/temp_dir.h"

namespace regroup::checkpoint {
namespace {

using testing::message_of;
using testing::safetensors_bytes;

FileHeader parse(const std::string& file) {
  return parse_safetensors_header(std::as_bytes(std::span(file)), file.size(), "m.safetensors");
}

// The message for a file with this header and as many data bytes.
std::string refusal(const std::string& json, std::size_t data_bytes = 0) {
  return message_of([&] { parse(safetensors_bytes(json, std::string(data_bytes, 'x'))); });
}

std::string tensor(const std::string& name, const std::string& dtype, const std::string& shape, int begin,
                   int end) {
  return "\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape + ",\"data_offsets\":[" +
         std::to_string(begin) + "," + std::to_string(end) + "]}";
}

TEST(SafetensorsHeader, ReadsTensorsInTheOrderOfTheirBytes) {
  const std::string json = "{" + tensor("b", "BF16", "[2,3]", 4, 16) +
                           R"(,"__metadata__":{"format":"pt","note":"ü"},)" + tensor("a", "F32", "[]", 0, 4) +
                           "," + tensor("none", "I64", "[0,7]", 4, 4) + "}   ";
  const auto header = parse(safetensors_bytes(json, std::string(16, 'x')));
  EXPECT_EQ(header.data_begin, 8 + json.size());
  EXPECT_EQ(header.metadata, (std::map<std::string, std::string>{{"format", "pt"}, {"note", "ü"}}));
  ASSERT_EQ(header.tensors.size(), 3u);
  EXPECT_EQ(header.tensors[0], (TensorInfo{"a", DType::kF32, {}, 0, 4}));
  EXPECT_EQ(header.tensors[1], (TensorInfo{"none", DType::kI64, {0, 7}, 4, 4}));
  EXPECT_EQ(header.tensors[2], (TensorInfo{"b", DType::kBF16, {2, 3}, 4, 16}));
  EXPECT_EQ(header.tensors[0].elements(), 1);
  EXPECT_EQ(header.tensors[1].elements(), 0);
  EXPECT_EQ(header.tensors[2].elements(), 6);
}

TEST(SafetensorsHeader, TakesFilesWithoutTensors) {
  EXPECT_TRUE(parse(safetensors_bytes("{}", "")).tensors.empty());
  EXPECT_TRUE(parse(safetensors_bytes(R"({"__metadata__":{}})", "")).metadata.empty());
}

TEST(SafetensorsHeader, TakesPackedElements) {
  const auto header = parse(safetensors_bytes("{" + tensor("a", "F4", "[3,2]", 0, 3) + "}", "abc"));
  EXPECT_EQ(header.tensors[0].bytes(), 3u);
  EXPECT_EQ(refusal("{" + tensor("a", "F6_E2M3", "[3]", 0, 2) + "}", 2),
            "m.safetensors: tensor 'a', F6_E2M3 of [3], is 18 bits: not a whole number of bytes");
}

TEST(SafetensorsHeader, RefusesWhatIsNoSafetensorsFile) {
  EXPECT_EQ(message_of([] { parse("abc"); }),
            "m.safetensors: too short for a safetensors file: expected at least 8 bytes, found 3. "
            "Was the download cut off?");
  EXPECT_EQ(message_of([] { parse(""); }),
            "m.safetensors: too short for a safetensors file: expected at least 8 bytes, found 0. "
            "Was the download cut off?");
  EXPECT_EQ(
      message_of([] { parse(std::string("\x01\xe1\xf5\x05\0\0\0\0", 8)); }),
      "m.safetensors: not a safetensors file: it begins with the length of its header: expected at most "
      "100000000, found 100000001");
  EXPECT_EQ(message_of([] { parse(safetensors_bytes(std::string(1234, '{'), "").substr(0, 8 + 99)); }),
            "m.safetensors: header says 1234 bytes but the file has only 99: was the download cut off?");
  EXPECT_EQ(
      message_of([] { parse(std::string(8, '\xff')); }),
      "m.safetensors: not a safetensors file: it begins with the length of its header: expected at most "
      "100000000, found 18446744073709551615");
  EXPECT_EQ(message_of([] { parse("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 7\n"); }),
            "m.safetensors: a Git LFS pointer, not the file itself. Fetch the file with: git lfs pull");
}

TEST(SafetensorsHeader, RefusesWhatIsNoJsonObject) {
  constexpr const char* kBrace = "m.safetensors: not a safetensors file: its header does not begin with '{'";
  EXPECT_EQ(refusal(" {}"), kBrace);
  EXPECT_EQ(refusal("[]"), kBrace);
  EXPECT_EQ(refusal(""), kBrace);
  EXPECT_EQ(refusal("{\"a\" 1}"),
            "m.safetensors: not valid JSON: found syntax error while parsing object separator - unexpected "
            "number literal; expected ':' (byte 6)");
  EXPECT_EQ(
      refusal("{} {}"),
      "m.safetensors: not valid JSON: found syntax error while parsing value - unexpected '{'; expected "
      "end of input (byte 4)");
  EXPECT_EQ(refusal("{\"\xff\":1}"),
            "m.safetensors: not valid JSON: found syntax error while parsing object key - invalid string: "
            "ill-formed UTF-8 byte (byte 3)");
  EXPECT_EQ(refusal(std::string("{}\0{", 4)), "m.safetensors: not valid JSON: found a zero byte (byte 3)");
}

TEST(SafetensorsHeader, RefusesRepetitionsByName) {
  EXPECT_EQ(refusal("{" + tensor("a", "U8", "[1]", 0, 1) + "," + tensor("a", "U8", "[1]", 1, 2) + "}", 2),
            "m.safetensors: tensor 'a' is there twice");
  EXPECT_EQ(refusal(R"({"a":{"dtype":"U8","dtype":"I8"}})"), "m.safetensors: tensor 'a': has 'dtype' twice");
  EXPECT_EQ(refusal(R"({"__metadata__":{"k":"v","k":"w"}})"), "m.safetensors: '__metadata__' has 'k' twice");
  EXPECT_EQ(refusal(R"({"__metadata__":{},"__metadata__":{}})"),
            "m.safetensors: '__metadata__' is there twice");
}

TEST(SafetensorsHeader, RefusesMalformedEntries) {
  EXPECT_EQ(
      refusal(R"({"a":[1]})"),
      "m.safetensors: entry 'a' of the header: expected an object {dtype, shape, data_offsets}, found a "
      "list");
  EXPECT_EQ(
      refusal(R"({"a":null})"),
      "m.safetensors: entry 'a' of the header: expected an object {dtype, shape, data_offsets}, found null");
  EXPECT_EQ(
      refusal(R"({"__metadata__":"x"})"),
      "m.safetensors: entry '__metadata__' of the header: expected an object of texts, found the text 'x'");
  EXPECT_EQ(refusal(R"({"__metadata__":{"k":1}})"),
            "m.safetensors: '__metadata__' maps 'k' to something else than text: found 1");
  EXPECT_EQ(refusal(R"({"__metadata__":{"k":{}}})"),
            "m.safetensors: '__metadata__' maps 'k' to something else than text: found an object");
  EXPECT_EQ(refusal(R"({"a":{"dtype":"U8","shape":[]}})"),
            "m.safetensors: tensor 'a': has no 'data_offsets'");
  EXPECT_EQ(refusal(R"({"a":{"shape":[],"data_offsets":[0,1]}})"),
            "m.safetensors: tensor 'a': has no 'dtype'");
  EXPECT_EQ(refusal(R"({"a":{"dtype":"U8","data_offsets":[0,1]}})"),
            "m.safetensors: tensor 'a': has no 'shape'");
  EXPECT_EQ(refusal(R"({"a":{"strides":[1]}})"),
            "m.safetensors: tensor 'a': has a field unknown to the format: found 'strides'");
  EXPECT_EQ(refusal(R"({"a":{"dtype":7}})"),
            "m.safetensors: tensor 'a': 'dtype': expected a name such as 'BF16', found 7");
  EXPECT_EQ(refusal(R"({"a":{"shape":"[1]"}})"),
            "m.safetensors: tensor 'a': 'shape': expected a list of numbers, found the text '[1]'");
  EXPECT_EQ(refusal("{" + tensor("a", "Q4_0", "[1]", 0, 1) + "}", 1),
            "m.safetensors: tensor 'a': is of an unknown dtype: found 'Q4_0'");
}

TEST(SafetensorsHeader, RefusesImpossibleNumbers) {
  const auto with_shape = [](const std::string& shape) {
    return refusal(R"({"a":{"dtype":"F32","shape":)" + shape + R"(,"data_offsets":[0,4]}})", 4);
  };
  constexpr const char* kWhole =
      "m.safetensors: tensor 'a': 'shape': expected whole numbers that are not negative, found ";
  EXPECT_EQ(with_shape("[-1]"), kWhole + std::string("-1"));
  EXPECT_EQ(with_shape("[1.5]"), kWhole + std::string("1.5"));
  EXPECT_EQ(with_shape("[1e0]"), kWhole + std::string("1e0"));
  EXPECT_EQ(with_shape("[18446744073709551616]"), kWhole + std::string("18446744073709551616"));
  EXPECT_EQ(with_shape("[[1]]"), kWhole + std::string("a list"));
  EXPECT_EQ(with_shape("[281474976710656]"),
            "m.safetensors: tensor 'a': 'shape': expected numbers up to 2^48 - 1, found 281474976710656");
  EXPECT_EQ(with_shape("[281474976710655,281474976710655]"),
            "m.safetensors: tensor 'a', F32 of [281474976710655, 281474976710655], is larger than any file");
  // The product fits 64 bits and only the bytes do not.
  EXPECT_EQ(with_shape("[281474976710655,65535]"),
            "m.safetensors: tensor 'a', F32 of [281474976710655, 65535], is larger than any file");
  EXPECT_EQ(refusal(R"({"a":{"dtype":"U8","shape":[],"data_offsets":[0,1,2]}})"),
            "m.safetensors: tensor 'a': 'data_offsets': expected [begin, end], found 3 numbers");
  EXPECT_EQ(refusal(R"({"a":{"dtype":"U8","shape":[],"data_offsets":[0]}})"),
            "m.safetensors: tensor 'a': 'data_offsets': expected [begin, end], found 1 numbers");
  EXPECT_EQ(
      refusal(R"({"a":{"dtype":"U8","shape":[],"data_offsets":[0,281474976710656]}})"),
      "m.safetensors: tensor 'a': 'data_offsets': expected numbers up to 2^48 - 1, found 281474976710656");
}

TEST(SafetensorsHeader, RefusesOffsetsThatLie) {
  EXPECT_EQ(refusal("{" + tensor("a", "F32", "[2]", 0, 4) + "}", 4),
            "m.safetensors: tensor 'a', F32 of [2]: expected 8 bytes, found data_offsets that span 4");
  EXPECT_EQ(refusal("{" + tensor("a", "U8", "[1]", 1, 0) + "}", 1),
            "m.safetensors: tensor 'a' ends at 0, before its begin 1");
  EXPECT_EQ(refusal("{" + tensor("a", "U8", "[4]", 0, 4) + "," + tensor("b", "U8", "[1]", 6, 7) + "}", 7),
            "m.safetensors: 2 bytes of no tensor before 'b': it begins at byte 6 instead of 4");
  EXPECT_EQ(refusal("{" + tensor("a", "U8", "[1]", 3, 4) + "}", 4),
            "m.safetensors: 3 bytes of no tensor before 'a': it begins at byte 3 instead of 0");
  EXPECT_EQ(refusal("{" + tensor("b", "U8", "[4]", 2, 6) + "," + tensor("a", "U8", "[4]", 0, 4) + "}", 6),
            "m.safetensors: tensors 'a' and 'b' overlap: one ends at byte 4, the other begins at 2");
}

TEST(SafetensorsHeader, ComparesTheDataWithTheFile) {
  EXPECT_EQ(refusal("{" + tensor("a", "U8", "[10]", 0, 10) + "}", 7),
            "m.safetensors: cut off, 3 bytes missing: tensor 'a' should end at byte 10 of the data, which "
            "has only 7. Was the download cut off?");
  EXPECT_EQ(refusal("{" + tensor("a", "U8", "[10]", 0, 10) + "}", 12),
            "m.safetensors: 2 bytes of no tensor at its end");
  EXPECT_EQ(refusal("{}", 1), "m.safetensors: 1 byte of no tensor at its end");
}

TEST(SafetensorsHeader, SurvivesDeepNesting) {
  const std::string deep(1'000'000, '[');
  EXPECT_EQ(
      refusal("{\"a\":" + deep),
      "m.safetensors: entry 'a' of the header: expected an object {dtype, shape, data_offsets}, found a "
      "list");
}

TEST(SafetensorsHeader, KeepsMessagesShort) {
  const std::string message = refusal("{\"" + std::string(1'000'000, 'n') + "\\u0007\":1}");
  EXPECT_LT(message.size(), 400u);
  EXPECT_EQ(refusal(R"({"a\n\u001b[31m":1})"),
            "m.safetensors: entry 'a??[31m' of the header: expected an object {dtype, shape, data_offsets}, "
            "found 1");
  EXPECT_LT(refusal("{\"a\":" + std::string(1'000'000, 'x')).size(), 400u);
}

TEST(SafetensorsHeader, IsQuickWithManyTensors) {
  constexpr int kTensors = 100'000;
  std::string json = "{";
  for (int i = 0; i < kTensors; ++i)
    json += (i ? "," : "") + tensor("model.layers.mlp.experts." + std::to_string(i), "U8", "[1]", i, i + 1);
  const std::clock_t begin = std::clock();  // of this process, whatever else the machine does
  EXPECT_EQ(parse(safetensors_bytes(json + "}", std::string(kTensors, 'x'))).tensors.size(), 100'000u);
  // Takes a tenth of a second; a search over all earlier names for each name would take minutes.
  EXPECT_LT(std::clock() - begin, 20 * CLOCKS_PER_SEC);
}

TEST(TensorFile, ReadsPartsOfTensors) {
  const testing::TempDir directory;
  testing::write_file(
      directory / "m.safetensors",
      safetensors_bytes("{" + tensor("a", "U8", "[4]", 0, 4) + "," + tensor("b", "U8", "[6]", 4, 10) + "}",
                        "0123456789"));
  const TensorFile reader = open_safetensors(directory / "m.safetensors");
  std::string part(3, ' ');
  reader.read(reader.header().tensors[1], 2, std::as_writable_bytes(std::span(part)));
  EXPECT_EQ(part, "678");
  EXPECT_THROW(reader.read(reader.header().tensors[1], 4, std::as_writable_bytes(std::span(part))),
               InternalError);
}

TEST(TensorFile, NamesTheFile) {
  const testing::TempDir directory;
  const auto path = directory / "m.safetensors";
  EXPECT_EQ(message_of([&] { open_safetensors(path); }),
            path.string() + ": cannot be opened: found No such file or directory");
  testing::write_file(path, "");
  EXPECT_EQ(message_of([&] { open_safetensors(path); }),
            path.string() +
                ": too short for a safetensors file: expected at least 8 bytes, found 0. "
                "Was the download cut off?");
  testing::write_file(path, "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 7\n");
  EXPECT_EQ(message_of([&] { open_safetensors(path); }),
            path.string() + ": a Git LFS pointer, not the file itself. Fetch the file with: git lfs pull");
  std::filesystem::remove(path);
  std::filesystem::create_directory(path);
  EXPECT_EQ(message_of([&] { open_safetensors(path); }), path.string() + ": not a file");
}

}  // namespace
}  // namespace regroup::checkpoint
