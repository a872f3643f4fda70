#include "core/family/catalogue.h"

#include <fmt/format.h>

#include "core/base/error.h"
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
      "A family is known by `architectures` in config.json. Where the engines' class for a family has no "
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
  return page;
}

}  // namespace regroup::family
