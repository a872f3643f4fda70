#include "core/family/catalogue.h"

#include <fmt/format.h>

#include <array>

#include "core/base/error.h"
#include "core/family/config_reader.h"
#include "core/family/family.h"
#include "core/family/target.h"

namespace regroup::family {
namespace {

std::string joined(const std::vector<std::string>& items, std::string_view between = ", ") {
  std::string text;
  for (const std::string& item : items) text += (text.empty() ? "" : std::string(between)) + item;
  return text;
}

// "`PhiForCausalLM` (8 … 1): HF transformers, llama.cpp", a line for each architecture that is written.
std::string written(const Family& family, const Json& json, const ModelConfig& config) {
  struct Row {
    std::string architecture, engines;
    std::vector<std::string> counts;
  };
  std::vector<Row> rows;
  for (const std::int64_t kv_heads : reachable_kv_heads(config)) {
    if (kv_heads == config.kv_heads) continue;
    const Target target = choose_target(family, json, config, kv_heads);
    const std::string architecture = target.config["architectures"][0],
                      engines = target.loaded_by.empty() ? "no engine" : joined(target.loaded_by);
    if (rows.empty() || rows.back().architecture != architecture || rows.back().engines != engines)
      rows.push_back({architecture, engines, {}});
    rows.back().counts.push_back(std::to_string(kv_heads));
  }
  if (rows.empty()) return "nothing: it has one key/value head";
  std::string text;
  for (const Row& row : rows)
    text += fmt::format("{}`{}` with {}: {}", text.empty() ? "" : "<br>", row.architecture,
                        joined(row.counts), row.engines);
  return text;
}

std::string merged_by(const ModelConfig& config) {
  const std::vector<std::string> limits = merge_limits(config);
  return limits.empty() ? "every method" : "every method; " + joined(limits, "; ");
}

// What people's files may say of a family and its reader refuses; tests see that no refusal is left out. The
// first example of the family says `value` (JSON) under `key` (a JSON pointer).
struct Refused {
  std::string_view family, key, value;
};

constexpr std::array<Refused, 20> kRefused = {{
    {"bloom", "/apply_residual_connection_post_layernorm", "true"},
    {"codegen", "/n_head", "2"},
    {"codegen", "/rotary_dim", "3"},
    {"falcon", "/num_kv_heads", "5"},
    {"gemma", "/use_bidirectional_attention", "true"},
    {"gpt2", "/add_cross_attention", "true"},
    {"gpt_neo", "/attention_types", "[[[\"sparse\"], 24]]"},
    {"gptj", "/rotary_dim", "3"},
    {"llama", "/hidden_act", "\"gelu\""},
    {"mpt", "/attn_config/alibi", "false"},
    {"mpt", "/attn_config/alibi_bias_max", "4"},
    {"mpt", "/attn_config/kv_n_heads", "5"},
    {"mpt", "/attn_config/prefix_lm", "true"},
    {"mpt", "/attn_config/qk_ln", "true"},
    {"mpt", "/logit_scale", "0.5"},
    {"mpt", "/no_bias", "false"},
    {"olmoe", "/num_experts_per_tok", "1000"},
    {"opt", "/do_layer_norm_before", "false"},
    {"opt", "/word_embed_proj_dim", "512"},
    {"qwen2_moe", "/num_experts_per_tok", "1000"},
}};

// What its reader says that the key should be.
std::string expected_of(const Refused& refused) {
  const Family& family = family_named(refused.family);
  Json config = parse_json(family.examples.front().config, "an example");
  if (refused.key == "/num_kv_heads") config["new_decoder_architecture"] = true;  // which has that key
  config[Json::json_pointer(std::string(refused.key))] = parse_json(refused.value, "a value");
  try {
    family.read_config(config, "config.json");
  } catch (const UserError& error) {
    const std::string message = error.what();
    constexpr std::string_view kExpected = "expected ", kFound = ", found ";
    const std::size_t begin = message.find(kExpected) + kExpected.size();
    return message.substr(begin, message.rfind(kFound) - begin);
  }
  check(false, "a refusal that is none");
  return {};
}

std::string refusals() {
  std::string text = fmt::format(
      "\n## What is refused\n\n"
      "Before anything is computed, with the file, what was expected and what was found: architectures that "
      "are not in the table, quantized weights (`quantization_config`), adapters; tensors that are missing, "
      "of another shape, or that nothing reads; "
      "counts that no model has, such as more than {} layers, {} heads or experts, or {} numbers in a row; "
      "rotary "
      "positions other than default, linear, dynamic, llama3, YaRN and longrope; a `partial_rotary_factor` "
      "in families whose classes turn whole heads whatever it says; activations other than SiLU, ReLU, its "
      "square and GELU in its two forms. And in one family or another, because the rest of the file says "
      "otherwise, no model is known to have it, or what loads the family does not compute it:\n\n"
      "| family | key | must be |\n|---|---|---|\n",
      kMostLayers, kMostHeads, kMostWidth);
  for (const Refused& refused : kRefused)
    text += fmt::format("| {} | `{}` | {} |\n", refused.family, refused.key.substr(1), expected_of(refused));
  return text;
}

}  // namespace

std::vector<std::string> merge_limits(const ModelConfig& config) {
  std::vector<std::string> limits;
  if (!config.heads_can_move())
    limits.emplace_back("ALiBi gives heads slopes by their number: groups are neighbours");
  if (config.qk_norm == QkNorm::kLayerOfHead)
    limits.emplace_back("keys are normed head by head: they are averaged, not turned towards each other");
  if (config.qk_norm == QkNorm::kRmsOfAll)
    limits.emplace_back(
        "keys are normed over all heads: with fewer, the norm's size is right on average only");
  if (config.clip_qkv > 0)
    limits.push_back(fmt::format(
        "queries, keys and values are clipped at {}: methods that turn heads are exact where nothing is",
        config.clip_qkv));
  return limits;
}

std::string families_page() {
  std::string page =
      "# Model families\n\n"
      "What can be read, how its heads are merged, what is written with fewer key/value heads, and who loads "
      "that. `regroup families` prints this page; `regroup inspect MODEL` says the same of one model.\n\n"
      "A family is known by `architectures` in config.json. Code that a model brings along (`auto_map`) is "
      "never run: of an architecture in the table the model is what config.json and tensors say, all of them "
      "accounted for, and what is written no longer names that code; any other is refused. Where the "
      "engines' class for a family has no "
      "fewer "
      "key/value heads than query heads, a conversion moves the model to an architecture that is the same "
      "function "
      "and has them; where there is none, it writes the family's own tensors under a name that no engine "
      "knows "
      "(`Regroup…`), so that loading fails at once instead of giving wrong numbers; `regroup export` makes a "
      "GGUF of many of those, which "
      "llama.cpp runs ([export.md](export.md)).\n\n"
      "| family | models | example | merged by | written with fewer heads, loaded by "
      "|\n|---|---|---|---|---|\n";
  for (const Family* family : families())
    for (const Example& example : family->examples) {
      const Json json = parse_json(example.config, std::string(example.name));
      check(&family_for(json, std::string(example.name)) == family, "an example of its own family");
      const ModelConfig config = family->read_config(json, std::string(example.name));
      page +=
          fmt::format("| {} | {} | {}: {} layers, {} heads, {} key/value heads of {} | {} | {} |\n",
                      family->name, family->summary, example.name, config.layers, config.heads,
                      config.kv_heads, config.head_dim, merged_by(config), written(*family, json, config));
    }
  page +=
      "\n## Files\n\n"
      "| family | `architectures` | tensors (a layer's, then the rest) |\n|---|---|---|\n";
  for (const Family* family : families()) {
    std::string architectures, in_layer, rest;
    for (const std::string_view name : family->architectures)
      architectures += fmt::format("{}`{}`", architectures.empty() ? "" : ", ", name);
    for (const TensorRule& rule : family->tensors) {
      if (rule.part == Part::kUnused) continue;
      std::string& list = rule.per_layer() ? in_layer : rest;
      list += fmt::format("{}`{}`", list.empty() ? "" : " ", rule.name);
    }
    page += fmt::format("| {} | {} | {}<br>{} |\n", family->name, architectures, in_layer, rest);
  }
  return page + refusals();
}

}  // namespace regroup::family
