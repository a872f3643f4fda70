// Every golden rewritten as the hub has such models: what is found in the files is the same model.
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <set>
#include <string>

#include "core/family/model_directory.h"
#include "tests/support/hub_files.h"
#include "tests/support/temp_dir.h"

namespace regroup::family {
namespace {

namespace fs = std::filesystem;
using testing::FileTensors;
using testing::parts_of;

const fs::path kGoldens = fs::path(REGROUP_SOURCE_DIR) / "tests/goldens";

ModelDirectory rewritten(const ModelDirectory& model, const FileTensors& tensors, const fs::path& folder) {
  fs::remove_all(folder);
  testing::write_model(folder, model.config_json, tensors);
  return open_model(folder);
}

void for_each_golden(const std::function<void(const ModelDirectory&, const FileTensors&)>& test) {
  for (const char* folder : {"families", "llama"})
    for (const auto& entry : fs::directory_iterator(kGoldens / folder)) {
      if (!fs::exists(entry.path() / "config.json")) continue;
      SCOPED_TRACE(entry.path().filename().string());
      const ModelDirectory model = open_model(entry.path());
      test(model, testing::tensors_of(model));
    }
}

std::set<std::string_view> names_of(const std::function<bool(const Family&)>& which) {
  std::set<std::string_view> names;
  for (const Family* family : families())
    if (which(*family)) names.insert(family->name);
  return names;
}

class HubFiles : public ::testing::Test {
 protected:
  testing::TempDir directory_;
  std::set<std::string_view> seen_;
};

// As Phi-3-mini, MPT-7B and Falcon are published.
TEST_F(HubFiles, MayNameCodeOfTheirOwn) {
  for_each_golden([&](const ModelDirectory& model, const FileTensors& tensors) {
    Json published = model.config_json;
    published["auto_map"] = {{"AutoConfig", "configuration.Theirs"},
                             {"AutoModelForCausalLM", "modeling.Theirs"}};
    fs::remove_all(directory_ / "published");
    testing::write_model(directory_ / "published", published, tensors);
    const ModelDirectory read = open_model(directory_ / "published");
    EXPECT_EQ(parts_of(read), parts_of(model));
    EXPECT_EQ(read.config_json, model.config_json);
  });
}

TEST_F(HubFiles, MayLackTheOuterModelsPrefix) {
  for_each_golden([&](const ModelDirectory& model, const FileTensors& tensors) {
    if (model.family->optional_prefix.empty()) return;
    const auto with = testing::with_prefix(tensors, *model.family, true),
               without = testing::with_prefix(tensors, *model.family, false);
    EXPECT_NE(with, without);
    EXPECT_EQ(parts_of(rewritten(model, with, directory_ / "with")), parts_of(model));
    EXPECT_EQ(parts_of(rewritten(model, without, directory_ / "without")), parts_of(model));
    seen_.insert(model.family->name);
  });
  EXPECT_EQ(seen_, names_of([](const Family& family) { return !family.optional_prefix.empty(); }));
}

TEST_F(HubFiles, MayCarryBuffers) {
  for_each_golden([&](const ModelDirectory& model, const FileTensors& tensors) {
    FileTensors more = testing::with_prefix(tensors, *model.family, true);
    more.merge(testing::buffers_of(model));
    if (more.size() == tensors.size()) return;
    const ModelDirectory found = rewritten(model, more, directory_ / "model");
    EXPECT_EQ(found.tensors.size(), more.size());
    EXPECT_EQ(parts_of(found), parts_of(model));
    EXPECT_EQ(found.parameters(), model.parameters());
    EXPECT_EQ(found.dtype(), model.dtype());
    seen_.insert(model.family->name);
  });
  EXPECT_EQ(seen_, names_of([](const Family& family) {
              return std::ranges::find(family.tensors, Part::kUnused, &TensorRule::part) !=
                     family.tensors.end();
            }));
}

TEST_F(HubFiles, MayBeOfAnyType) {
  for_each_golden([&](const ModelDirectory& model, const FileTensors& tensors) {
    for (const char* dtype : {"F32", "F16", "BF16"}) {
      const FileTensors changed = testing::as_dtype(tensors, dtype);
      const ModelDirectory found = rewritten(model, changed, directory_ / "model");
      EXPECT_EQ(checkpoint::dtype_name(found.dtype()), dtype);
      EXPECT_EQ(found.parameters(), model.parameters());
    }
    seen_.insert(model.family->name);
  });
  EXPECT_EQ(seen_, names_of([](const Family&) { return true; }));
}

TEST_F(HubFiles, MayStoreATiedHeadTwice) {
  for_each_golden([&](const ModelDirectory& model, const FileTensors& tensors) {
    const std::string head = testing::head_to_add(model);
    if (head.empty()) return;
    FileTensors more = tensors;
    more[head] = tensors.at(model.find(Part::kTokenEmbedding)->stored.info->name);
    const ModelDirectory found = rewritten(model, more, directory_ / "model");
    ASSERT_NE(found.find(Part::kLmHead), nullptr);
    EXPECT_EQ(found.parameters(), model.parameters());
    seen_.insert(model.family->name);
  });
  EXPECT_EQ(seen_, names_of([](const Family& family) {
              return std::ranges::find(family.tensors, Presence::kUntied, &TensorRule::presence) !=
                     family.tensors.end();
            }));
}

TEST_F(HubFiles, MayBeShardsOfTorchSave) {
  for_each_golden([&](const ModelDirectory& model, const FileTensors& tensors) {
    fs::remove_all(directory_ / "model");
    testing::write_sharded_torch(directory_ / "model", model.config_text, tensors);
    const ModelDirectory found = open_model(directory_ / "model");
    EXPECT_EQ(found.checkpoint.files().size(), 2u);
    EXPECT_EQ(parts_of(found), parts_of(model));
    seen_.insert(model.family->name);
  });
  EXPECT_EQ(seen_, names_of([](const Family&) { return true; }));
}

}  // namespace
}  // namespace regroup::family
