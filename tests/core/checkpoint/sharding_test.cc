#include "core/checkpoint/sharding.h"

#include <gtest/gtest.h>

#include <string>

#include "core/base/json.h"
#include "tests/support/checkpoint_files.h"

namespace regroup::checkpoint {
namespace {

std::vector<TensorInfo> bytes_tensors(const std::vector<std::int64_t>& sizes) {
  std::vector<TensorInfo> tensors;
  for (std::size_t i = 0; i < sizes.size(); ++i)
    tensors.push_back({std::string(1, static_cast<char>('a' + i)), DType::kU8, {sizes[i]}});
  return tensors;
}

// "ab|c": the names in each shard.
std::string shards_of(const std::vector<std::int64_t>& sizes, std::uint64_t max_bytes) {
  std::string text;
  for (const Shard& shard : shard_by_size(bytes_tensors(sizes), max_bytes)) {
    text += text.empty() ? "" : "|";
    for (const TensorInfo& tensor : shard.tensors) text += tensor.name;
  }
  return text;
}

TEST(Sharding, WritesWhatTransformersWrites) {
  const Json golden = read_json(REGROUP_SOURCE_DIR "/tests/goldens/checkpoint/shards.json");
  std::vector<TensorInfo> tensors;
  for (const auto& [name, shape] : golden["tensors"].get<std::vector<std::pair<std::string, Json>>>())
    tensors.push_back({name, DType::kBF16, shape.get<std::vector<std::int64_t>>()});
  ASSERT_GE(golden["cases"].size(), 5u);
  for (const Json& wanted : golden["cases"]) {
    auto shards = shard_by_size(tensors, wanted["max_shard_size"].get<std::uint64_t>());
    ASSERT_EQ(shards.size(), wanted["headers"].size());
    EXPECT_EQ(wanted["index"].is_null() ? Json() : Json(index_text(shards)), wanted["index"]);
    for (Shard& shard : shards) {
      ASSERT_TRUE(wanted["headers"].contains(shard.file_name)) << shard.file_name;
      EXPECT_EQ(encode_safetensors_header(shard.tensors, {{"format", "pt"}}).substr(8),
                wanted["headers"][shard.file_name].get<std::string>());
    }
  }
}

TEST(Sharding, StartsAShardWhereATensorWouldOverfillIt) {
  EXPECT_EQ(shards_of({3, 3, 2, 4}, 8), "abc|d");
  EXPECT_EQ(shards_of({3, 3, 2, 4}, 6), "ab|cd");
  EXPECT_EQ(shards_of({3, 3}, 100), "ab");
  EXPECT_EQ(shards_of({}, 100), "");
}

TEST(Sharding, GivesAnOversizedTensorAFileOfItsOwn) {
  EXPECT_EQ(shards_of({1, 9, 1}, 5), "b|ac");
  EXPECT_EQ(shards_of({9}, 5), "a");
}

TEST(Sharding, EscapesTheIndexAsPythonDoes) {
  const std::vector<Shard> shards = {{"x.safetensors", {TensorInfo{"ü\x7f", DType::kU8, {1}}}}};
  EXPECT_NE(index_text(shards).find(R"("\u00fc\u007f": "x.safetensors")"), std::string::npos);
}

}  // namespace
}  // namespace regroup::checkpoint
