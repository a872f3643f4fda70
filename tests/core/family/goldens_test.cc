// That the goldens leave nothing of the tables out: every row of every family but buffers, every layout,
// every home, every kind of arithmetic and every key that changes it is in a checkpoint that HF wrote, which
// the parity tests and the laws run over.
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/family/home.h"
#include "core/family/model_directory.h"

namespace regroup::family {
namespace {

namespace fs = std::filesystem;

const fs::path kRoot = REGROUP_SOURCE_DIR;

const std::vector<ModelDirectory>& goldens() {
  static const std::vector<ModelDirectory> all = [] {
    std::vector<ModelDirectory> models;
    for (const char* folder : {"families", "llama"})
      for (const auto& entry : fs::directory_iterator(kRoot / "tests/goldens" / folder))
        if (fs::exists(entry.path() / "config.json")) models.push_back(open_model(entry.path()));
    return models;
  }();
  return all;
}

// "model.layers.{}.…" of model.layers.3.…
std::string pattern_of(const std::string& tensor) {
  static const std::regex number(R"(\.[0-9]+(?=\.))");
  return std::regex_replace(tensor, number, ".{}");
}

std::string row_of(const Family& family, std::string_view pattern) {
  return std::string(family.name) + ": " + std::string(pattern);
}

TEST(Goldens, HoldEveryWeightOfEveryFamily) {
  std::set<std::string> rows, held;
  for (const Family* family : families())
    for (const TensorRule& rule : family->tensors)
      if (rule.part != Part::kUnused) rows.insert(row_of(*family, rule.name));
  for (const ModelDirectory& model : goldens())
    for (const ModelTensor& tensor : model.tensors) {
      const std::string pattern = pattern_of(tensor.stored.info->name);
      held.insert(row_of(*model.family, pattern));
      held.insert(row_of(*model.family, std::string(model.family->optional_prefix) + pattern));
    }
  for (const std::string& row : rows) EXPECT_TRUE(held.contains(row)) << row;
}

// Of a tensor: what its rows and columns are.
using Arrangement = std::tuple<Fusion, bool, bool>;

Arrangement arrangement_of(const Layout& layout) {
  return {layout.fusion, layout.transposed, layout.interleaved};
}

TEST(Goldens, HoldEveryLayoutOfEveryFamily) {
  std::set<std::pair<std::string_view, Arrangement>> layouts, held;
  for (const Family* family : families())
    for (const TensorRule& rule : family->tensors) layouts.emplace(family->name, arrangement_of(rule.layout));
  for (const ModelDirectory& model : goldens())
    for (const ModelTensor& tensor : model.tensors)
      held.emplace(model.family->name, arrangement_of(tensor.layout));
  EXPECT_EQ(held, layouts);
}

TEST(Goldens, MoveToEveryHome) {
  std::set<std::string_view> all, reached;
  for (const Home& home : homes()) all.insert(home.family);
  for (const ModelDirectory& model : goldens())
    for (const Home& home : homes())
      for (const std::int64_t kv_heads : reachable_kv_heads(model.config))
        if (home.obstacle(model.config, kv_heads).empty()) reached.insert(home.family);
  EXPECT_EQ(reached, all);
}

// How many values the enumeration of that name in core/family/model_config.h has.
std::size_t values_of(const std::string& enumeration) {
  const std::string header = read_text(kRoot / "core/family/model_config.h");
  std::smatch body;
  if (!std::regex_search(header, body, std::regex("enum class " + enumeration + R"( \{([^}]*)\})"))) return 0;
  const std::string values = std::regex_replace(body[1].str(), std::regex("//[^\n]*"), "");
  const std::regex name(R"(\bk[A-Z]\w*)");
  return static_cast<std::size_t>(
      std::distance(std::sregex_iterator(values.begin(), values.end(), name), std::sregex_iterator()));
}

TEST(Goldens, HoldEveryKindOfArithmetic) {
  std::map<std::string, std::set<int>> held;
  for (const ModelDirectory& model : goldens()) {
    const ModelConfig& config = model.config;
    held["RopeScaling"].insert(static_cast<int>(config.rope.scaling));
    held["Positions"].insert(static_cast<int>(config.positions));
    held["Norm"].insert(static_cast<int>(config.norm));
    held["Activation"].insert(static_cast<int>(config.activation));
    held["Block"].insert(static_cast<int>(config.block));
    held["QkNorm"].insert(static_cast<int>(config.qk_norm));
  }
  for (const auto& [enumeration, values] : held) {
    const std::size_t count = values_of(enumeration) - (enumeration == "Positions");  // kNone: no family's
    EXPECT_EQ(values.size(), count) << enumeration;
  }
}

// What a configuration computes, but for the sizes of its tensors. Names every field, so that a new one does
// not compile until it stands here.
std::string arithmetic_of(const Rope& rope) {
  const auto& [dims, theta, scaling, factor, low, high, original, fast, slow, truncate, attention, shorter,
               longer] = rope;
  const bool stretched = scaling != RopeScaling::kNone && scaling != RopeScaling::kLinear;
  return fmt::format("{} {} {} {} {} {} {} {} {} {} {} {} {}", dims, theta, static_cast<int>(scaling), factor,
                     low, high, stretched ? original : 0, fast, slow, truncate, attention, shorter, longer);
}

std::string arithmetic_of(const ModelConfig& config) {
  const auto& [vocab_size, hidden, layers, heads, kv_heads, head_dim, ffn, max_positions, norm, norm_epsilon,
               norm_weight, norm_bias, norm_plus_one, block, shared_norm, positions, rope, position_offset,
               alibi_slopes, alibi_bfloat16, alibi_scale, attention_scale, attention_scale_by_layer, windows,
               clip_qkv, qk_norm, qk_norm_by_head, gated_mlp, activation, experts, attention_bias,
               output_bias, mlp_bias, head_bias, tied_embeddings, embedding_norm, embedding_scale,
               logit_scale, initializer_range] = config;
  return fmt::format("{} {} {} {} {} {} {} {} | ", static_cast<int>(norm), norm_epsilon, norm_weight,
                     norm_bias, norm_plus_one, static_cast<int>(block), shared_norm,
                     static_cast<int>(positions)) +
         arithmetic_of(rope) +
         fmt::format(" | {} {} {} {} {} {} {} {} {} {} {} | ", kv_heads, position_offset, alibi_slopes,
                     alibi_bfloat16, alibi_scale, attention_scale, attention_scale_by_layer, windows,
                     clip_qkv, static_cast<int>(qk_norm), qk_norm_by_head) +
         fmt::format("{} {} {} {} {} | ", gated_mlp, static_cast<int>(activation), experts.chosen,
                     experts.normalized, experts.in_layer) +
         fmt::format("{} {} {} {} {} {} {} {}", attention_bias, output_bias, mlp_bias, head_bias,
                     tied_embeddings, embedding_norm, embedding_scale, logit_scale);
}

std::string arithmetic_of(const Family& family, const Json& config) {
  try {
    return arithmetic_of(family.read_config(config, "probe"));
  } catch (const UserError&) {
    return "refused";
  }
}

// Everything in a source file that could be a key of config.json.
std::set<std::string> words_of(const fs::path& file) {
  const std::string text = read_text(kRoot / file);
  static const std::regex word(R"~("([a-z_0-9]+)")~");
  std::set<std::string> words;
  for (auto at = std::sregex_iterator(text.begin(), text.end(), word); at != std::sregex_iterator(); ++at)
    words.insert((*at)[1]);
  return words;
}

// Sizes, which the shapes of tensors prove; and what is the family's name.
const std::set<std::string> kNoArithmetic = {
    "vocab_size",          "hidden_size", "n_embd",      "n_embed",    "d_model",
    "num_attention_heads", "n_head",      "n_heads",     "num_heads",  "head_dim",
    "num_hidden_layers",   "n_layer",     "n_layers",    "num_layers", "max_position_embeddings",
    "n_positions",         "seq_length",  "max_seq_len", "model_type", "architectures"};

using Key = Json::json_pointer;

// Where the words of a family's reader may stand in a config.json.
std::vector<Key> keys_of(const Family& family, const Json& config) {
  std::set<std::string> words = words_of("core/families/" + std::string(family.name) + ".cc");
  for (const char* shared : {"core/family/rope_config.cc", "core/family/table_parts.cc"})
    words.merge(words_of(shared));
  std::vector<Key> keys;
  for (const std::string& word : words) {
    if (kNoArithmetic.contains(word)) continue;
    keys.push_back(Key() / word);
    for (const auto& [name, value] : config.items())
      if (value.is_object()) keys.push_back(Key() / name / word);
  }
  return keys;
}

Json with(Json config, const Key& key, const Json& value) {
  config[key] = value;
  return config;
}

// Wherever the word stands.
Json without(Json config, const std::string& word) {
  config.erase(word);
  for (auto& value : config)
    if (value.is_object()) value.erase(word);
  return config;
}

bool changes_arithmetic(const Family& family, const Json& config, const Key& key) {
  const std::string before = arithmetic_of(family, config);
  for (const Json& value : {Json(true), Json(false), Json(0.25), Json(0.5), Json(1), Json(2), Json(3.5),
                            Json("relu"), Json("gelu"), Json::array({0})}) {
    const std::string after = arithmetic_of(family, with(config, key, value));
    if (after != before && after != "refused") return true;
  }
  return false;
}

// Keys that other engines read in files of these families, and HF's classes do not.
const std::set<std::string> kNotOfHf = {"gemma: hidden_activation", "mpt: kv_n_heads"};

// Which keys of its config.json change what a family computes: each must be something else than its default
// in one checkpoint, and, where it is true or false, its default in another.
TEST(Goldens, VaryEveryKeyThatChangesTheArithmetic) {
  struct Seen {
    bool matters = false, boolean = false, usual = false, unusual = false;
  };
  std::map<std::string, Seen> seen;
  for (const ModelDirectory& model : goldens())
    for (const Key& key : keys_of(*model.family, model.config_json)) {
      const Json& config = model.config_json;
      Seen& here = seen[std::string(model.family->name) + ": " + key.back()];
      const bool usual =
          arithmetic_of(*model.family, without(config, key.back())) == arithmetic_of(model.config);
      (usual ? here.usual : here.unusual) = true;
      here.boolean |= config.contains(key) && config[key].is_boolean();
      here.matters |= !here.unusual && changes_arithmetic(*model.family, config, key);
    }
  std::set<std::string> unvaried;
  for (const auto& [key, here] : seen) {
    if (here.matters && !here.unusual) unvaried.insert(key);
    EXPECT_TRUE(!here.boolean || !here.unusual || here.usual) << key << " is its default in no golden";
  }
  EXPECT_EQ(unvaried, kNotOfHf);
}

}  // namespace
}  // namespace regroup::family
