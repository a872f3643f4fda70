#include "core/family/describe.h"

#include <fmt/format.h>

#include <limits>
#include <set>

#include "core/base/error.h"
#include "core/base/units.h"
#include "core/family/config_reader.h"
#include "core/family/target.h"

namespace regroup::family {
namespace {

namespace fs = std::filesystem;

std::int64_t at_least_one(std::int64_t value, const char* flag) {
  if (value < 1) throw UserError({.where = flag, .expected = "at least 1", .found = std::to_string(value)});
  return value;
}

struct CacheSize {
  std::int64_t element_bytes, context, batch;

  Json of(ModelConfig config, std::int64_t kv_heads) const {
    config.kv_heads = kv_heads;
    const std::int64_t per_token = kv_bytes_per_token(config, element_bytes);
    std::int64_t total = 0;
    if (__builtin_mul_overflow(per_token, context, &total) || __builtin_mul_overflow(total, batch, &total))
      throw UserError(
          {.where = "--context and --batch", .what = "a cache of more bytes than can be counted"});
    return {
        {"kv_heads", kv_heads}, {"group", config.group()}, {"bytes_per_token", per_token}, {"bytes", total}};
  }
};

// The architecture that a conversion to `kv_heads` heads writes, and who loads it.
void add_target(const ModelDirectory& model, std::int64_t kv_heads, Json& row) {
  const Target target = choose_target(*model.family, model.config_json, model.config, kv_heads);
  row["architecture"] = target.config["architectures"][0];
  row["loaded_by"] = target.loaded_by;
}

Json files_of(const ModelDirectory& model) {
  Json files = Json::array();
  for (const auto& file : model.checkpoint.files())
    files.push_back({{"name", file.path().filename().string()},
                     {"bytes", fs::file_size(file.path())},
                     {"tensors", file.header().tensors.size()}});
  return files;
}

Json dtypes_of(const ModelDirectory& model) {
  std::set<std::string> names;
  for (const ModelTensor& tensor : model.tensors)
    if (tensor.part != Part::kUnused) names.emplace(checkpoint::dtype_name(tensor.stored.info->dtype));
  return names;
}

Json pretraining_tokens(const ModelDirectory& model) {
  const fs::path record = model.path / "training_record.json";
  if (!fs::exists(record)) return nullptr;
  const Json json = read_json(record);
  const ConfigReader reader(json, record.string());
  if (!reader.has("pretraining_tokens")) return nullptr;
  return reader.count("pretraining_tokens", std::numeric_limits<std::int64_t>::max());
}

std::string attention_kind(std::int64_t heads, std::int64_t kv_heads) {
  return kv_heads == heads ? "multi-head" : kv_heads == 1 ? "multi-query" : "grouped-query";
}

// "8, 4, 2"
std::string joined(const Json& values) {
  std::string text;
  for (const Json& value : values)
    text += (text.empty() ? "" : ", ") + (value.is_string() ? value.get<std::string>() : value.dump());
  return text;
}

std::string human(const Json& bytes) {
  return human_bytes(bytes.get<double>());
}

}  // namespace

Json describe(const ModelDirectory& model, const DescribeOptions& options) {
  const ModelConfig& config = model.config;
  const CacheSize cache = {
      .element_bytes = checkpoint::dtype_bits(model.dtype()) / 8,
      .context = at_least_one(options.context.value_or(config.max_positions), "--context"),
      .batch = at_least_one(options.batch, "--batch")};
  Json reachable = Json::array();
  for (const std::int64_t kv_heads : reachable_kv_heads(config)) {
    reachable.push_back(cache.of(config, kv_heads));
    add_target(model, kv_heads, reachable.back());
  }
  Json description = {{"path", model.path.string()},
                      {"family", model.family->name},
                      {"architectures", model.config_json["architectures"]},
                      {"parameters", model.parameters()},
                      {"layers", config.layers},
                      {"hidden", config.hidden},
                      {"mlp", config.ffn},
                      {"vocabulary", config.vocab_size},
                      {"positions", config.max_positions},
                      {"tied_embeddings", config.tied_embeddings},
                      {"heads", config.heads},
                      {"kv_heads", config.kv_heads},
                      {"head_dim", config.head_dim},
                      {"attention", attention_kind(config.heads, config.kv_heads)},
                      {"dtype", checkpoint::dtype_name(model.dtype())},
                      {"dtypes", dtypes_of(model)},
                      {"pretraining_tokens", pretraining_tokens(model)}};
  description["cache"] = {
      {"context", cache.context}, {"batch", cache.batch}, {"reachable", std::move(reachable)}};
  description["files"] = files_of(model);
  description["loaded_by"] = description["cache"]["reachable"][0]["loaded_by"];  // with all its heads
  return description;
}

namespace {

std::string head_of(const Json& d) {
  const auto row = [](const char* title, const std::string& value) {
    return fmt::format("{:<14}{}\n", title, value);
  };
  const auto number = [&](const char* key) { return d[key].get<std::int64_t>(); };
  std::string text = d["path"].get<std::string>() + "\n\n";
  text += row("family", fmt::format("{} ({})", d["family"].get<std::string>(), joined(d["architectures"])));
  text += row("parameters",
              fmt::format("{} ({})", human_count(d["parameters"].get<double>()), number("parameters")));
  text += row("shape", fmt::format("{} layers, hidden {}, mlp {}, vocabulary {}{}, {} positions",
                                   number("layers"), number("hidden"), number("mlp"), number("vocabulary"),
                                   d["tied_embeddings"] ? " (tied)" : "", number("positions")));
  text += row("attention",
              fmt::format("{}: {} query heads, {} key/value heads of {}", d["attention"].get<std::string>(),
                          number("heads"), number("kv_heads"), number("head_dim")));
  text += row("weights", joined(d["dtypes"]));
  const Json& tokens = d["pretraining_tokens"];
  if (!tokens.is_null())
    text += row("pre-training", fmt::format("{} tokens ({}), as training_record.json says",
                                            human_count(tokens.get<double>()), tokens.get<std::int64_t>()));
  return text;
}

std::string cache_table(const Json& d) {
  const Json& cache = d["cache"];
  const std::string total =
      fmt::format("at {} x {}", cache["batch"].get<std::int64_t>(), cache["context"].get<std::int64_t>());
  std::string text =
      fmt::format("\nkey/value cache in {}\n  {:>8}  {:>7}  {:>9}  {:>14}  {:>8}\n",
                  d["dtype"].get<std::string>(), "kv heads", "group", "a token", total, "of now");
  const double now = cache["reachable"][0]["bytes"].get<double>();
  for (const Json& row : cache["reachable"])
    text += fmt::format("  {:>8}  {:>7}  {:>9}  {:>14}  {:>7.4g}%\n", row["kv_heads"].get<std::int64_t>(),
                        row["group"].get<std::int64_t>(), human(row["bytes_per_token"]), human(row["bytes"]),
                        100 * row["bytes"].get<double>() / now);
  return text;
}

std::string files_table(const Json& d) {
  std::string text = "\nfiles\n";
  for (const Json& file : d["files"])
    text += fmt::format("  {:<34}  {:>9}  {} tensors\n", file["name"].get<std::string>(),
                        human(file["bytes"]), file["tensors"].get<std::int64_t>());
  return text;
}

}  // namespace

std::string description_text(const Json& description) {
  std::string written;
  const Json& reachable = description["cache"]["reachable"];
  for (std::size_t first = 1; first < reachable.size();) {
    const Json& row = reachable[first];
    Json counts = Json::array();
    for (; first < reachable.size() && reachable[first]["architecture"] == row["architecture"] &&
           reachable[first]["loaded_by"] == row["loaded_by"];
         ++first)
      counts.push_back(reachable[first]["kv_heads"]);
    written += fmt::format("  {} with {} key/value head{}: {}\n", row["architecture"].get<std::string>(),
                           joined(counts), counts == Json{1} ? "" : "s",
                           row["loaded_by"].empty() ? "no engine has a class for it; eval, uptrain, generate "
                                                      "and export (where llama.cpp has its graph) do"
                                                    : "loads as it is in " + joined(row["loaded_by"]));
  }
  if (written.empty()) written = "  nothing with fewer key/value heads: there is one already\n";
  return head_of(description) + cache_table(description) + files_table(description) + "\ncan be written\n" +
         written;
}

}  // namespace regroup::family
