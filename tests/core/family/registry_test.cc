#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "core/base/error.h"
#include "core/family/family.h"

namespace regroup::family {
namespace {

TEST(Registry, ListsEveryFileOfTheFolderAndNothingElse) {
  std::set<std::string> files, registered;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::filesystem::path(REGROUP_SOURCE_DIR) / "core/families"))
    files.insert(entry.path().stem());
  for (const Family* family : families()) registered.insert(std::string(family->name));
  EXPECT_EQ(files, registered);
}

TEST(Registry, EveryRowIsComplete) {
  std::set<std::string_view> architectures;
  for (const Family* family : families()) {
    EXPECT_FALSE(family->summary.empty());
    EXPECT_FALSE(family->loaded_by.empty()) << family->name;
    EXPECT_NE(family->read_config, nullptr);
    EXPECT_NE(family->with_kv_heads, nullptr);
    for (const auto architecture : family->architectures)
      EXPECT_TRUE(architectures.insert(architecture).second) << architecture << " is claimed twice";
    std::set<std::string_view> patterns;
    for (const TensorRule& rule : family->tensors)
      EXPECT_TRUE(patterns.insert(rule.name).second) << rule.name << " is listed twice";
  }
}

std::string refusal(const char* config) {
  try {
    family_for(Json::parse(config), "dir/config.json");
  } catch (const UserError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(Registry, AnUnknownArchitectureIsToldWhatIsSupported) {
  EXPECT_EQ(refusal(R"({"architectures": ["BertModel"]})"),
            "dir/config.json: architecture not supported: expected LlamaForCausalLM (Llama-1/2/3, CodeLlama, "
            "Vicuna, OpenLLaMA, SmolLM2, DeepSeek-LLM), found BertModel");
  for (const char* without :
       {"{}", "[]", R"({"architectures": "LlamaForCausalLM"})", R"({"architectures": []})"})
    EXPECT_NE(refusal(without).find("lacks 'architectures', a list of names: expected LlamaForCausalLM"),
              std::string::npos)
        << refusal(without);
}

TEST(Registry, OneKnownArchitectureAmongSeveralIsEnough) {
  EXPECT_EQ(refusal(R"({"architectures": ["X", "LlamaForCausalLM"]})"), "accepted");
}

}  // namespace
}  // namespace regroup::family
