// Against the `gguf` package of llama.cpp: the same metadata and tensors become the same bytes
// (tests/oracle/gguf_goldens.py).
#include "core/gguf/writer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <span>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/hash.h"
#include "tests/support/temp_dir.h"

namespace regroup::gguf {
namespace {

const std::filesystem::path kGoldens =
    std::filesystem::path(REGROUP_SOURCE_DIR) / "tests" / "goldens" / "gguf";
constexpr std::size_t kRows = 5, kColumns = 64;

std::vector<float> golden_values() {
  const std::string bytes = read_text(kGoldens / "values.f32");
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  EXPECT_EQ(values.size(), kRows * kColumns);
  return values;
}

Metadata golden_metadata() {
  return {{"general.architecture", "golden"},
          {"type.uint8", std::uint8_t{200}},
          {"type.int8", std::int8_t{-100}},
          {"type.uint16", std::uint16_t{60000}},
          {"type.int16", std::int16_t{-30000}},
          {"type.uint32", std::uint32_t{4000000000}},
          {"type.int32", std::int32_t{-2000000000}},
          {"type.float32", 1e-5F},
          {"type.bool", true},
          {"type.string", "Grüße, ▁\n"},
          {"type.uint64", (std::uint64_t{1} << 63) + 1},
          {"type.int64", -(std::int64_t{1} << 62)},
          {"type.float64", 0.1},
          {"array.string", std::vector<std::string>{"a", "", "▁b"}},
          {"array.int32", std::vector<std::int32_t>{1, -2, 3}},
          {"array.float32", std::vector<float>{0.5F, -1.5F}},
          {"array.uint8", std::vector<std::uint8_t>{0, 255}},
          {"array.uint64", std::vector<std::uint64_t>{std::uint64_t{1} << 40}},
          {"array.bool", std::vector<bool>{true, false, true}}};
}

struct Tensor {
  TensorInfo info;
  std::vector<std::byte> data;
};

Tensor tensor(std::string name, std::vector<std::int64_t> shape, TensorType type,
              std::span<const float> values) {
  Tensor made{.info = {.name = std::move(name), .shape = std::move(shape), .type = type}, .data = {}};
  made.data.resize(made.info.bytes());
  encode(type, values, made.data);
  return made;
}

std::vector<Tensor> golden_tensors() {
  const std::vector<float> values = golden_values();
  std::vector<Tensor> tensors;
  for (const TensorType type : {TensorType::kF32, TensorType::kF16, TensorType::kBF16, TensorType::kQ8_0})
    tensors.push_back(tensor("tensor." + std::string(type_name(type)), {kRows, kColumns}, type, values));
  tensors.push_back(tensor("tensor.odd", {5}, TensorType::kF32, std::span(values).first(5)));
  std::vector<float> cube;
  for (std::size_t row = 0; row < 3; ++row)
    cube.insert(cube.end(), values.begin() + row * kColumns, values.begin() + row * kColumns + 4);
  tensors.push_back(tensor("tensor.cube", {3, 2, 2}, TensorType::kF32, cube));
  return tensors;
}

std::vector<TensorInfo> infos(const std::vector<Tensor>& tensors) {
  std::vector<TensorInfo> found;
  for (const Tensor& each : tensors) found.push_back(each.info);
  return found;
}

class GgufWriter : public ::testing::Test {
 protected:
  // Hands the data over in pieces of this size.
  std::string written(std::size_t piece) {
    const std::vector<Tensor> tensors = golden_tensors();
    std::vector<std::byte> data;
    for (const Tensor& each : tensors) data.insert(data.end(), each.data.begin(), each.data.end());
    const auto path = directory_ / ("piece" + std::to_string(piece));
    Writer writer(path, golden_metadata(), infos(tensors));
    for (std::size_t at = 0; at < data.size(); at += piece)
      writer.append(std::span(data).subspan(at, std::min(piece, data.size() - at)));
    const std::string hash = writer.finish();
    EXPECT_EQ(hash, sha256_of_file(path));
    EXPECT_EQ(writer.bytes(), file_bytes(golden_metadata(), infos(tensors)));
    return read_text(path);
  }

  testing::TempDir directory_;
};

TEST_F(GgufWriter, EqualsTheGgufPackage) {
  const std::string golden = read_text(kGoldens / "all_types.gguf");
  for (const std::size_t piece : {1u, 7u, 1000000u}) {
    const std::string ours = written(piece);
    ASSERT_EQ(ours.size(), golden.size());
    const auto difference = std::mismatch(ours.begin(), ours.end(), golden.begin()).first - ours.begin();
    EXPECT_EQ(ours, golden) << "from byte " << difference;
  }
}

TEST_F(GgufWriter, ChecksThatTheDataFits) {
  const std::vector<Tensor> tensors = golden_tensors();
  {
    Writer writer(directory_ / "short", Metadata(), infos(tensors));
    writer.append(tensors[0].data);
    EXPECT_THROW(writer.finish(), InternalError);
  }
  Writer writer(directory_ / "long", Metadata(), {tensors[0].info});
  writer.append(tensors[0].data);
  EXPECT_THROW(writer.append(tensors[0].data), InternalError);
  EXPECT_THROW(encode_header({{"a", 1.0F}, {"a", 2.0F}}, {}), InternalError);
  const std::vector<TensorInfo> twice{tensors[0].info, tensors[0].info};
  EXPECT_THROW(encode_header({}, twice), InternalError);
  const std::vector<TensorInfo> long_name{{.name = std::string(64, 'n'), .shape = {1}}};
  EXPECT_THROW(encode_header({}, long_name), InternalError);
  const TensorInfo half_block{.name = "q", .shape = {2, 16}, .type = TensorType::kQ8_0};
  EXPECT_THROW(half_block.bytes(), InternalError);
}

TEST(TensorTypes, SayHowLargeAValueTheyHold) {
  std::array<std::byte, 2> stored{};
  const auto half_of = [&](float value) {
    encode(TensorType::kF16, std::span(&value, 1), stored);
    return static_cast<unsigned>(stored[1]) << 8 | static_cast<unsigned>(stored[0]);
  };
  const float most = largest_value(TensorType::kF16);
  EXPECT_EQ(half_of(most), 0x7BFFu);
  EXPECT_EQ(half_of(std::nextafter(most, 1e9F)), 0x7C00u);
}

}  // namespace
}  // namespace regroup::gguf
