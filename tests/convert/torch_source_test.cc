// Converting a pytorch_model.bin: the same bytes as converting the same tensors kept as safetensors.
#include <gtest/gtest.h>

#include <algorithm>

#include "convert/convert.h"
#include "core/base/file.h"
#include "core/base/hash.h"
#include "tests/support/temp_dir.h"

namespace regroup::convert {
namespace {

namespace fs = std::filesystem;
using testing::TempDir;

const fs::path kGoldens = fs::path(REGROUP_SOURCE_DIR) / "tests/goldens";

struct Pair {
  const char *torch, *safetensors;  // folders of tests/goldens/torch_file/llama and tests/goldens/llama
};

void copy_all(const fs::path& from, const fs::path& to) {
  for (const auto& entry : fs::directory_iterator(from)) {
    const fs::path name = entry.path().filename();
    if (name != "expected.safetensors") fs::copy_file(entry.path(), to / name);
  }
}

// Both sources as a user has them, with their config.json.
void write_sources(const Pair& pair, const TempDir& folder) {
  fs::create_directory(folder / "torch");
  fs::create_directory(folder / "safetensors");
  copy_all(kGoldens / "llama" / pair.safetensors, folder / "safetensors");
  copy_all(kGoldens / "torch_file/llama" / pair.torch, folder / "torch");
  fs::copy_file(folder / "safetensors/config.json", folder / "torch/config.json");
}

// File -> text, of weights and configuration; provenance names its source.
std::map<std::string, std::string> result_in(const fs::path& directory) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::directory_iterator(directory)) {
    const std::string name = entry.path().filename();
    if (name != "regroup.json" && name != "REGROUP.md") files[name] = read_text(entry.path());
  }
  return files;
}

class TorchSource : public ::testing::TestWithParam<Pair> {
 protected:
  void SetUp() override { write_sources(GetParam(), folder_); }

  std::map<std::string, std::string> convert_source(const std::string& source, PlanOptions plan) {
    convert({.model = folder_ / source,
             .output = folder_ / ("out-" + source),
             .plan = plan,
             .calibration = {.weights_only = true},
             .overwrite = true},
            Json::object());
    return result_in(folder_ / ("out-" + source));
  }

  TempDir folder_;
};

TEST_P(TorchSource, GivesTheBytesThatSafetensorsGive) {
  for (const std::int64_t kv_heads : {4, 2, 1})
    EXPECT_EQ(convert_source("torch", {.kv_heads = kv_heads}),
              convert_source("safetensors", {.kv_heads = kv_heads}))
        << kv_heads;
}

TEST_P(TorchSource, GivesThemInAnotherTypeAndOtherShardsToo) {
  const PlanOptions plan{.kv_heads = 2, .dtype = checkpoint::DType::kBF16, .max_shard_size = 3000};
  EXPECT_EQ(convert_source("torch", plan), convert_source("safetensors", plan));
}

TEST_P(TorchSource, ChangesNothingWhenNoHeadsAreMerged) {
  const auto converted = convert_source("torch", {.kv_heads = 4});
  const auto source = result_in(folder_ / "safetensors");
  for (const auto& [name, text] : source) {
    if (!name.ends_with(".safetensors")) continue;
    EXPECT_EQ(converted.at(name), text) << name;
  }
}

TEST_P(TorchSource, RecordsTheFilesThatWereRead) {
  convert_source("torch", {.kv_heads = 2});
  const Json files = read_json(folder_ / "out-torch/regroup.json")["source"]["files"];
  ASSERT_FALSE(files.empty());
  for (const Json& file : files) {
    const fs::path path = folder_ / "torch" / file["name"].get<std::string>();
    EXPECT_EQ(path.extension(), ".bin");
    EXPECT_EQ(file["sha256"], sha256_of_file(path));
  }
}

INSTANTIATE_TEST_SUITE_P(Llama, TorchSource,
                         ::testing::Values(Pair{"single", "tied_stored_twice"}, Pair{"sharded", "sharded"}),
                         [](const auto& pair) { return std::string(pair.param.torch); });

}  // namespace
}  // namespace regroup::convert
