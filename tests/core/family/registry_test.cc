#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <regex>
#include <set>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/family/catalogue.h"
#include "core/family/family.h"
#include "core/family/target.h"
#include "tests/support/checkpoint_files.h"

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
    EXPECT_FALSE(family->examples.empty()) << family->name;
    EXPECT_NE(family->read_config, nullptr);
    for (const auto architecture : family->architectures)
      EXPECT_TRUE(architectures.insert(architecture).second) << architecture << " is claimed twice";
    std::set<std::string_view> patterns;
    for (const TensorRule& rule : family->tensors)
      EXPECT_TRUE(patterns.insert(rule.name).second) << rule.name << " is listed twice";
  }
}

// Every example of a family has somewhere to go with every number of heads; "own" only where no engine and no
// home takes it.
TEST(Registry, EveryExampleCanBeWrittenWithEveryNumberOfHeads) {
  for (const Family* family : families())
    for (const Example& example : family->examples) {
      const Json json = Json::parse(example.config);
      EXPECT_EQ(&family_for(json, "example"), family) << example.name;
      const ModelConfig config = family->read_config(json, "example");
      for (const std::int64_t kv_heads : reachable_kv_heads(config)) {
        const Target target = choose_target(*family, json, config, kv_heads);
        const ModelConfig written = target.family->read_config(target.config, "result");
        EXPECT_EQ(written.kv_heads, kv_heads) << example.name << " as " << target.name;
        EXPECT_EQ(&family_for(target.config, "result"), target.family);
        EXPECT_EQ(written.hidden, config.hidden);
        EXPECT_EQ(target.name == "own", target.loaded_by.empty()) << example.name;
      }
    }
}

// Null is no value: what HF reads as the default.
TEST(Registry, NullIsTheDefaultWhereAConfigurationIsWrittenToo) {
  for (const Family* family : families())
    for (const Example& example : family->examples) {
      Json json = Json::parse(example.config);
      const Json plain = json;
      for (const char* key :
           {"new_decoder_architecture", "attention_types", "attn_config", "num_key_value_heads",
            "rope_scaling", "rope_parameters", "tie_word_embeddings"})
        if (!json.contains(key)) json[key] = nullptr;
      const ModelConfig config = family->read_config(json, "example");
      for (const std::int64_t kv_heads : reachable_kv_heads(config)) {
        const Target with = choose_target(*family, json, config, kv_heads),
                     without = choose_target(*family, plain, config, kv_heads);
        EXPECT_EQ(with.name, without.name) << example.name;
        EXPECT_EQ(with.family->read_config(with.config, "result").kv_heads, kv_heads) << example.name;
      }
    }
}

// A name of our own is known to no engine, whatever family it is of and however many heads it has.
TEST(Registry, NoEngineLoadsANameOfOurOwn) {
  for (const Family* family : families())
    for (const Example& example : family->examples) {
      const Json json = Json::parse(example.config);
      const ModelConfig config = family->read_config(json, "example");
      for (const std::int64_t kv_heads : reachable_kv_heads(config)) {
        const Target first = choose_target(*family, json, config, kv_heads);
        if (first.name != "own") continue;
        const ModelConfig written = family->read_config(first.config, "result");
        EXPECT_TRUE(choose_target(*family, first.config, written, kv_heads).loaded_by.empty())
            << example.name;
        for (const std::int64_t fewer : reachable_kv_heads(written)) {
          const Target second = choose_target(*family, first.config, written, fewer);
          EXPECT_EQ(second.family->read_config(second.config, "result").kv_heads, fewer) << example.name;
          EXPECT_EQ(second.name == "own", second.loaded_by.empty()) << example.name;
        }
      }
    }
}

// HF's MptConfig, by which vLLM reads the file, knows no third type of attention.
TEST(Registry, MptIsWrittenWithATypeOfAttentionThatIsKnown) {
  const Family& mpt = family_named("mpt");
  Json json = Json::parse(mpt.examples[0].config);
  json["attn_config"] = {{"attn_type", "multihead_attention"}, {"alibi", true}};
  const Target target = choose_target(mpt, json, mpt.read_config(json, "example"), 4);
  EXPECT_EQ(target.config["attn_config"],
            Json({{"attn_type", "multihead_attention"}, {"alibi", true}, {"kv_n_heads", 4}}));
  EXPECT_EQ(target.loaded_by, (std::vector<std::string>{"vLLM", "llama.cpp"}));
  json["attn_config"] = {{"attn_type", "grouped_query_attention"}, {"kv_n_heads", 8}};
  const ModelConfig grouped = mpt.read_config(json, "llm-foundry's");
  EXPECT_EQ(grouped.kv_heads, 8);
  EXPECT_EQ(choose_target(mpt, json, grouped, 4).config["attn_config"],
            Json({{"attn_type", "multihead_attention"}, {"kv_n_heads", 4}}));
}

TEST(Registry, TargetsThatCannotBeAreRefusedWithTheReason) {
  const Family& gpt2 = family_named("gpt2");
  const Json json = Json::parse(gpt2.examples[0].config);
  const ModelConfig config = gpt2.read_config(json, "example");
  const auto refusal = [&](std::int64_t kv_heads, std::string_view asked) -> std::string {
    try {
      choose_target(gpt2, json, config, kv_heads, asked);
    } catch (const UserError& error) {
      return error.what();
    }
    return "accepted";
  };
  EXPECT_NE(refusal(4, "same").find("no engine's gpt2 holds 4 key/value heads"), std::string::npos);
  EXPECT_NE(refusal(4, "gpt_bigcode").find("it has one key/value head"), std::string::npos);
  EXPECT_NE(refusal(4, "phi").find("positions are learned"), std::string::npos);
  EXPECT_NE(refusal(4, "vllm").find("auto, same, own, phi"), std::string::npos);
  EXPECT_EQ(refusal(1, "gpt_bigcode"), "accepted");
  EXPECT_EQ(refusal(4, "own"), "accepted");
  EXPECT_NE(refusal(12, "own").find("is loaded by engines with 12 key/value heads as it is"),
            std::string::npos);
  const Family& codegen = family_named("codegen");
  const Json held = Json::parse(codegen.examples[0].config);
  EXPECT_NE(testing::message_of([&] {
              choose_target(codegen, held, codegen.read_config(held, "example"), 2, "own");
            }).find("codegen keeps its table with"),
            std::string::npos);
}

// docs/families.md is what the registry says.
TEST(Registry, TheDocumentationIsTheTable) {
  EXPECT_EQ(read_text(std::filesystem::path(REGROUP_SOURCE_DIR) / "docs/families.md"), families_page())
      << "write it anew: regroup families > docs/families.md";
}

// Every key that a family's reader refuses by itself is in the page's list.
TEST(Registry, ThePageListsEveryRefusal) {
  const std::string page = families_page();
  const std::regex refusal(R"~(refuse\(\s*"(\w+)")~");
  for (const Family* family : families()) {
    const std::string source = read_text(std::filesystem::path(REGROUP_SOURCE_DIR) / "core/families" /
                                         (std::string(family->name) + ".cc"));
    for (auto at = std::sregex_iterator(source.begin(), source.end(), refusal); at != std::sregex_iterator();
         ++at) {
      const std::regex row("\\| " + std::string(family->name) + R"( \| `(\w+/)?)" + (*at)[1].str() + "` \\|");
      EXPECT_TRUE(std::regex_search(page, row)) << family->name << ": " << (*at)[1];
    }
  }
}

TEST(Registry, EveryFamilyIsMeasured) {
  const std::string page = read_text(std::filesystem::path(REGROUP_SOURCE_DIR) / "docs/parity.md");
  for (const Family* family : families()) {
    const std::regex row("\n\\| " + std::string(family->name) + R"( \| [0-9.]+e-?[0-9+]+ \()");
    EXPECT_TRUE(std::regex_search(page, row)) << family->name << ": tests/oracle/family_parity.py --page";
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
  const std::string unknown = refusal(R"({"architectures": ["BertModel"]})");
  EXPECT_TRUE(
      unknown.starts_with("dir/config.json: architecture not supported: expected BloomForCausalLM, CodeGen"));
  EXPECT_TRUE(unknown.ends_with("found BertModel. `regroup families` says what each of them is")) << unknown;
  for (const char* without :
       {"{}", "[]", R"({"architectures": "LlamaForCausalLM"})", R"({"architectures": []})"})
    EXPECT_NE(refusal(without).find("lacks 'architectures', a list of names: expected BloomForCausalLM"),
              std::string::npos)
        << refusal(without);
}

TEST(Registry, OneKnownArchitectureAmongSeveralIsEnough) {
  EXPECT_EQ(refusal(R"({"architectures": ["X", "LlamaForCausalLM"]})"), "accepted");
}

}  // namespace
}  // namespace regroup::family
