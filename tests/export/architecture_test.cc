// Which models llama.cpp's graphs run, on the checkpoints of tests/goldens/families; what these graphs
// compute is compared by tests/oracle/export_parity.py.
#include "export/architecture.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <map>
#include <regex>
#include <set>

#include "core/base/file.h"
#include "export/graph_check.h"
#include "export/tensors.h"
#include "export/weight_type.h"
#include "tests/support/expect_error.h"

namespace regroup::exporting {
namespace {

using testing::user_error_of;

const std::filesystem::path kFamilies =
    std::filesystem::path(REGROUP_SOURCE_DIR) / "tests" / "goldens" / "families";

family::ModelDirectory golden(const std::string& name) {
  return family::open_model(kFamilies / name);
}

// The clauses that refuse a checkpoint, one of each kind.
TEST(ExportArchitecture, SaysWhatAGraphDoesOtherwise) {
  const std::map<std::string, std::string> expected = {
      {"phi-qk_layernorm",
       "'phi2' does not compute this model: it does not normalize queries and keys in this way"},
      {"olmo-biased",
       "'olmo' does not compute this model: it has no place for 'model.layers.0.self_attn.o_proj.bias'"},
      {"cohere-qk_norm", "'command-r' does not compute this model: it does not normalize queries and keys"},
      {"gpt2-unscaled", "'gpt2' does not compute this model: it divides scores by the root of head_dim"},
      {"gpt2-by_layer", "'gpt2' does not compute this model: it divides scores by the root of head_dim"},
      {"mpt-scaled", "'mpt' does not compute this model: it divides scores by the root of head_dim"},
      {"llama-yarn_untruncated",
       "'llama' does not compute this model: it rounds the bounds of YaRN's blend to whole pairs"},
      {"opt-plain",
       "regroup does not write the opt family as GGUF: expected a model of one of the families llama, "
       "qwen2, phi"},
      {"olmoe-plain", "regroup does not write the olmoe family as GGUF"},
  };
  for (const auto& [name, clause] : expected) {
    const family::ModelDirectory model = golden(name);
    EXPECT_CONTAINS(user_error_of([&] { architecture_for(model); }), clause);
  }
}

// Changes of one configuration that its graph cannot follow.
TEST(ExportArchitecture, ComparesEveryAxis) {
  family::ModelDirectory model = golden("gpt_neox-plain");
  const ModelConfig config = model.config;
  const Architecture& graph = architecture_for(model);
  const std::vector<std::pair<std::string, std::function<void(ModelConfig&)>>> changes = {
      {"its norms are of another kind", [](ModelConfig& changed) { changed.norm = family::Norm::kRms; }},
      {"in another order", [](ModelConfig& changed) { changed.shared_norm = true; }},
      {"in another order", [](ModelConfig& changed) { changed.block = family::Block::kPostNorm; }},
      {"gated differently", [](ModelConfig& changed) { changed.gated_mlp = true; }},
      {"activation function", [](ModelConfig& changed) { changed.activation = family::Activation::kRelu; }},
      {"no experts", [](ModelConfig& changed) { changed.experts.count = 2; }},
      {"normalize queries", [](ModelConfig& changed) { changed.qk_norm = family::QkNorm::kRmsOfAll; }},
      {"positions enter it", [](ModelConfig& changed) { changed.positions = family::Positions::kLearned; }},
      {"stretches all rotary",
       [](ModelConfig& changed) { changed.rope.scaling = family::RopeScaling::kLlama3; }},
      {"row 0", [](ModelConfig& changed) { changed.position_offset = 2; }},
      {"as wide as the hidden", [](ModelConfig& changed) { changed.hidden *= 2; }},
      {"root of head_dim", [](ModelConfig& changed) { changed.attention_scale *= 2; }},
      {"does not clip", [](ModelConfig& changed) { changed.clip_qkv = 1; }},
      {"scale logits", [](ModelConfig& changed) { changed.logit_scale = 0.5; }},
      {"scales embeddings", [](ModelConfig& changed) { changed.embedding_scale = 2; }},
  };
  EXPECT_TRUE(differences(graph, model).empty());
  for (const auto& [clause, change] : changes) {
    model.config = config;
    change(model.config);
    const std::vector<std::string> found = differences(graph, model);
    ASSERT_FALSE(found.empty()) << clause;
    EXPECT_CONTAINS(found.front(), clause);
  }
}

TEST(ExportArchitecture, NamesApproximations) {
  const auto told = [](const std::string& name) {
    const family::ModelDirectory model = golden(name);
    const auto all = approximations(architecture_for(model), model.config);
    return all.empty() ? std::string() : all.front();
  };
  EXPECT_EQ(told("gpt2-plain"), "");
  EXPECT_EQ(told("gpt_neox-plain"), "llama.cpp computes GELU by its tanh approximation");
  EXPECT_CONTAINS(told("qwen2-sliding"), "the model's on 5 tokens");
  EXPECT_CONTAINS(told("llama-dynamic"), "exact up to 8 tokens");
  EXPECT_CONTAINS(told("phi3-longrope_long"), "beyond 8 tokens");
}

TEST(ExportArchitecture, KnowsLlamaCppsSlopes) {
  ModelConfig config;
  config.heads = 6;
  config.alibi_slopes = family::alibi_slopes(6);
  EXPECT_NEAR(alibi_exponent(config), 8, 1e-9);
  std::swap(config.alibi_slopes[0], config.alibi_slopes[1]);
  EXPECT_EQ(alibi_exponent(config), 0);
}

TEST(ExportArchitecture, NamesFamiliesThatThereAre) {
  std::set<std::string_view> known, served;
  for (const family::Family* family : family::families()) known.insert(family->name);
  for (const Architecture& architecture : architectures())
    for (const std::string_view family : architecture.families) {
      EXPECT_TRUE(known.contains(family)) << family;
      EXPECT_TRUE(served.insert(family).second) << family << " has two graphs";
    }
}

TEST(ExportArchitecture, IsDocumented) {
  const std::string page = read_text(std::filesystem::path(REGROUP_SOURCE_DIR) / "docs" / "export.md");
  for (const Architecture& architecture : architectures()) {
    const std::string row = "| `" + std::string(architecture.name) + "` |";
    ASSERT_NE(page.find(row), std::string::npos) << row;
    const std::string text = page.substr(page.find(row), page.find('\n', page.find(row)) - page.find(row));
    for (const std::string_view family : architecture.families)
      EXPECT_NE(text.find(family), std::string::npos) << row << " lacks " << family;
  }
  for (const WeightType& type : weight_types()) EXPECT_CONTAINS(page, "| `" + std::string(type.name) + "` |");
}

// What llama.cpp makes of every graph's models stands in the page, written by tests/oracle/export_parity.py.
TEST(ExportArchitecture, IsMeasured) {
  const std::string page = read_text(std::filesystem::path(REGROUP_SOURCE_DIR) / "docs" / "export.md");
  const std::size_t begin = page.find("\n## Measured\n");
  ASSERT_NE(begin, std::string::npos);
  const std::string measured = page.substr(begin);
  for (const Architecture& architecture : architectures()) {
    const std::regex row("\n\\| `" + std::string(architecture.name) +
                         R"(` \|[^\n]* [0-9.]+e-[0-9]+, [0-9.]+e-[0-9]+ \([0-9]+\) \|)");
    EXPECT_TRUE(std::regex_search(measured, row)) << architecture.name << ": export_parity.py --page";
  }
}

std::map<std::string, PlannedTensor> planned(const std::string& name) {
  const family::ModelDirectory model = golden(name);
  std::map<std::string, PlannedTensor> tensors;
  for (PlannedTensor& tensor : plan_tensors(architecture_for(model), model, gguf::TensorType::kF32))
    tensors[tensor.info.name] = std::move(tensor);
  return tensors;
}

// llama.cpp makes 1 + ln(factor)/10 of the factor and multiplies by attn_factor.
TEST(ExportMetadata, SaysHowYarnStretchesPositions) {
  family::ModelDirectory model = golden("llama-yarn_attention_factor");
  model.config.rope.beta_fast = 16;
  model.config.rope.beta_slow = 2;
  const gguf::Metadata metadata = model_metadata(architecture_for(model), model);
  const std::map<std::string, gguf::Value> keys(metadata.begin(), metadata.end());
  const auto number = [&](const char* key) {
    return std::get<float>(keys.at(std::string("llama.rope.scaling.") + key));
  };
  EXPECT_EQ(std::get<std::string>(keys.at("llama.rope.scaling.type")), "yarn");
  EXPECT_EQ(std::get<std::uint32_t>(keys.at("llama.rope.scaling.original_context_length")), 8u);
  EXPECT_EQ(number("factor"), 4);
  EXPECT_NEAR(number("attn_factor"), 0.8 / (1 + 0.1 * std::log(4)), 1e-6);
  EXPECT_EQ(number("yarn_beta_fast"), 16);
  EXPECT_EQ(number("yarn_beta_slow"), 2);
}

TEST(ExportMetadata, SaysHowLinearScalingStretchesPositions) {
  const family::ModelDirectory model = family::open_model(kFamilies.parent_path() / "llama/rope_linear");
  const gguf::Metadata metadata = model_metadata(architecture_for(model), model);
  const std::map<std::string, gguf::Value> keys(metadata.begin(), metadata.end());
  EXPECT_EQ(std::get<std::string>(keys.at("llama.rope.scaling.type")), "linear");
  EXPECT_EQ(std::get<float>(keys.at("llama.rope.scaling.factor")), model.config.rope.factor);
}

using Shape = std::vector<std::int64_t>;

// GPT-J has no biases in its attention, Phi's graph demands them.
TEST(ExportTensors, AreZerosWhereOnlyTheGraphHasThem) {
  const auto gptj = planned("gptj-plain");
  EXPECT_EQ(gptj.at("blk.1.attn_output.bias").values, std::vector<float>(16));
  EXPECT_FALSE(gptj.contains("blk.0.attn_q.bias")) << "it can do without these";
  EXPECT_EQ(gptj.at("output.bias").parts, std::vector<Part>{Part::kLmHeadBias});
  EXPECT_EQ(planned("gpt_neox-unbiased").at("blk.0.attn_qkv.bias").values, std::vector<float>(48));
  EXPECT_FALSE(planned("olmo-plain").contains("blk.0.attn_norm.bias"));
}

TEST(ExportTensors, StackFusedParts) {
  const auto phi3 = planned("phi3-gqa");
  EXPECT_EQ(phi3.at("blk.0.attn_qkv.weight").info.shape, (Shape{16 + 2 * 8, 16}));
  EXPECT_EQ(phi3.at("blk.0.ffn_up.weight").info.shape, (Shape{40, 16}));
  EXPECT_EQ(planned("stablelm-gqa").at("blk.0.attn_k_norm.weight").info.shape, (Shape{2, 4}));
}

TEST(ExportTensors, RepeatATiedHeadOnlyWhereTheGraphDemandsOne) {
  EXPECT_EQ(planned("gpt_neox-tied").at("output.weight").parts, std::vector<Part>{Part::kTokenEmbedding});
  EXPECT_FALSE(planned("qwen2-tied").contains("output.weight"));
}

}  // namespace
}  // namespace regroup::exporting
