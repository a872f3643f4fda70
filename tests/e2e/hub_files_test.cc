// A checkpoint of every family as the hub has them, with everything at once that old files have, is converted
// to what the freshly saved one is converted to.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

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

// A model of a golden with what `change` makes of its tensors.
fs::path changed(const std::string& golden, const fs::path& folder,
                 const std::function<void(FileTensors&)>& change) {
  const ModelDirectory model = family::open_model(kGoldens / golden);
  FileTensors tensors = testing::tensors_of(model);
  change(tensors);
  testing::write_model(folder, model.config_json, tensors);
  return folder;
}

// By a method that looks at no embedding, too.
TEST(HubFiles, WhoseTiedHeadIsAnotherAreRefused) {
  const testing::TempDir folder;
  const auto source = [&](const char* name, char first_byte) {
    return changed("gpt2-plain", folder / name, [&](FileTensors& tensors) {
      testing::FileTensor& head = tensors["lm_head.weight"] = tensors.at("transformer.wte.weight");
      head.bytes[0] = static_cast<char>(head.bytes[0] ^ first_byte);
    });
  };
  const auto ran = [&](const fs::path& model) {
    return testing::run_program(
        {"convert", model, folder / "out", "--kv-heads", "2", "--method", "mean", "--quiet"});
  };
  EXPECT_EQ(ran(source("same", 0)).code, 0);
  fs::remove_all(folder / "out");
  const testing::Ran other = ran(source("other", 1));
  EXPECT_EQ(other.code, 2);
  EXPECT_NE(other.err.find("'lm_head.weight' differs from the embedding"), std::string::npos) << other.err;
  EXPECT_FALSE(fs::exists(folder / "out"));
}

TEST(HubFiles, OfSeveralTypesThatMoveAreSaidToBecomeOne) {
  const testing::TempDir folder;
  const fs::path source = changed("gpt_neox-plain", folder / "mixed", [](FileTensors& tensors) {
    for (auto& [name, tensor] : tensors)
      if (name.find("layernorm") != std::string::npos) tensor = testing::as_dtype(tensor, "F32");
  });
  const auto plan = [&](const fs::path& model, const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {"convert", model, folder / "out", "--kv-heads", "2", "--plan"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return testing::run_program(arguments).out;
  };
  const std::string note = "the source's weights are BF16, F32, all of the result's BF16: --dtype fp32";
  EXPECT_NE(plan(source, {}).find(note), std::string::npos) << plan(source, {});
  EXPECT_EQ(plan(source, {"--dtype", "fp32"}).find("all of the result's"), std::string::npos);
  EXPECT_EQ(plan(kGoldens / "gpt_neox-plain", {}).find("all of the result's"), std::string::npos);
}

// Nothing of the result names it.
TEST(HubFiles, LeaveCodeOfTheirOwnBehind) {
  const testing::TempDir folder;
  const ModelDirectory model = family::open_model(kGoldens / "llama-yarn");
  Json config = model.config_json;
  config["auto_map"] = {{"AutoModelForCausalLM", "modeling.Theirs"}};
  testing::write_model(folder / "source", config, testing::tensors_of(model));
  write_text(folder / "source/modeling.py", "class Theirs: pass");
  const auto carries_code = [&](const char* out) {
    EXPECT_EQ(testing::run_program({"convert", folder / "source", folder / out, "--kv-heads", "2",
                                    "--weights-only", "--quiet"})
                  .code,
              0);
    return fs::exists(folder / out / "modeling.py");
  };
  EXPECT_FALSE(carries_code("model's"));
  write_text(folder / "source/tokenizer_config.json",
             R"({"auto_map": {"AutoTokenizer": "modeling.Theirs"}})");
  EXPECT_TRUE(carries_code("tokenizer's"));
}

}  // namespace
}  // namespace regroup
