// A checkpoint of every family as the hub has them, with everything at once that old files have, is converted
// to what the freshly saved one is converted to.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <string>

#include "tests/support/hub_files.h"
#include "tests/support/program.h"

namespace regroup {
namespace {

namespace fs = std::filesystem;
using family::ModelDirectory;
using family::Part;
using testing::FileTensors;

const fs::path kGoldens = fs::path(REGROUP_SOURCE_DIR) / "tests/goldens/families";

// By family: a golden that has heads to merge, of those the first one whose head is tied.
std::map<std::string_view, ModelDirectory> models() {
  std::vector<fs::path> goldens;
  for (const auto& entry : fs::directory_iterator(kGoldens))
    if (fs::exists(entry.path() / "config.json")) goldens.push_back(entry.path());
  std::ranges::sort(goldens);
  std::map<std::string_view, ModelDirectory> chosen;
  for (const fs::path& golden : goldens) {
    ModelDirectory model = family::open_model(golden);
    if (model.config.kv_heads == 1) continue;
    const std::string_view name = model.family->name;
    const auto before = chosen.find(name);
    const bool better = before == chosen.end() || (testing::head_to_add(before->second).empty() &&
                                                   !testing::head_to_add(model).empty());
    if (better) chosen.insert_or_assign(name, std::move(model));
  }
  return chosen;
}

FileTensors as_on_the_hub(const ModelDirectory& model, FileTensors tensors) {
  tensors = testing::with_prefix(tensors, *model.family, true);
  tensors.merge(testing::buffers_of(model));
  if (const std::string head = testing::head_to_add(model); !head.empty()) {
    const auto names = testing::with_prefix(testing::tensors_of(model), *model.family, true);
    std::string embedding = model.find(Part::kTokenEmbedding)->stored.info->name;
    if (!names.contains(embedding)) embedding = std::string(model.family->optional_prefix) + embedding;
    tensors[head] = tensors.at(embedding);
  }
  return testing::with_prefix(tensors, *model.family, false);
}

testing::Parts converted(const fs::path& source, const fs::path& out, std::int64_t kv_heads) {
  const testing::Ran ran = testing::run_program(
      {"convert", source, out, "--kv-heads", std::to_string(kv_heads), "--method", "mean", "--quiet"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  if (ran.code != 0) return {};
  const ModelDirectory model = family::open_model(out);
  EXPECT_EQ(model.config.kv_heads, kv_heads);
  testing::Parts parts = testing::parts_of(model);
  if (model.config.tied_embeddings) parts.erase({Part::kLmHead, -1, -1});
  return parts;
}

TEST(HubFiles, AreConvertedAsFreshlySavedOnesAre) {
  const auto chosen = models();
  EXPECT_EQ(chosen.size(), family::families().size());
  for (const auto& [name, model] : chosen) {
    SCOPED_TRACE(model.path.string());
    const testing::TempDir folder;
    const FileTensors halves = testing::as_dtype(testing::tensors_of(model), "F16");
    testing::write_model(folder / "fresh", model.config_json, halves);
    testing::write_sharded_torch(folder / "hub", model.config_text, as_on_the_hub(model, halves));
    const std::int64_t fewer = family::reachable_kv_heads(model.config)[1];
    const testing::Parts expected = converted(folder / "fresh", folder / "fresh-out", fewer);
    EXPECT_FALSE(expected.empty());
    EXPECT_EQ(converted(folder / "hub", folder / "hub-out", fewer), expected);
  }
}

}  // namespace
}  // namespace regroup
