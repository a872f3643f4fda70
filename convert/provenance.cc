#include "convert/provenance.h"

#include <fmt/format.h>

#include "convert/merge_method.h"
#include "core/base/units.h"
#include "core/base/version.h"

namespace regroup::convert {
namespace {

Json file_list(const std::vector<FileRecord>& files) {
  Json list = Json::array();
  for (const FileRecord& file : files)
    list.push_back({{"name", file.name}, {"bytes", file.bytes}, {"sha256", file.sha256}});
  return list;
}

Json shape_of(const family::ModelConfig& config, std::int64_t element_bytes) {
  return {{"heads", config.heads},
          {"kv_heads", config.kv_heads},
          {"head_dim", config.head_dim},
          {"layers", config.layers},
          {"kv_bytes_per_token", family::kv_bytes_per_token(config, element_bytes)}};
}

std::int64_t element_bytes(checkpoint::DType dtype) {
  return checkpoint::dtype_bits(dtype) / 8;
}

// What people call a model, whether or not its path ends in a slash.
std::string name_of(const std::filesystem::path& path) {
  const std::filesystem::path whole = std::filesystem::absolute(path).lexically_normal();
  return (whole.has_filename() ? whole : whole.parent_path()).filename().string();
}

// Groups, and what merging them lost, by layer.
void add_layers(const MergedLayers& layers, Json& result) {
  if (layers.records().empty()) return;
  result["groups"] = Json::array();
  Json errors = Json::array(), refits = Json::array();
  for (const auto& [layer, record] : layers.records()) {
    result["groups"].push_back(record.grouping);
    if (record.error) errors.push_back({{"keys", record.error->keys}, {"values", record.error->values}});
    Json tried = Json::array();
    for (const RefitRecord& refit : record.refits)
      tried.push_back({{"name", refit.name},
                       {"held_out_error_before", refit.before},
                       {"held_out_error_after", refit.after},
                       {"accepted", refit.accepted}});
    if (!tried.empty()) refits.push_back(tried);
  }
  if (!errors.empty()) result["merge_error"] = errors;
  if (!refits.empty()) result["refits"] = refits;
}

}  // namespace

Json provenance(const family::ModelDirectory& model, const Plan& plan, const CalibrationTokens* tokens,
                const MergedLayers& layers, const Executed& executed, const Json& resolved) {
  Json record;
  record["command"] = "convert";
  record["version"] = version();
  record["commit"] = commit();
  record["options"] = resolved;
  record["source"] = {{"path", model.path.string()},
                      {"family", model.family->name},
                      {"shape", shape_of(model.config, element_bytes(model.dtype()))},
                      {"files", file_list(executed.source_files)}};
  record["result"] = {
      {"method", plan.merges ? plan.options.method : "none"},
      {"grouping", plan.merges ? plan.options.grouping : "none"},
      {"shape", shape_of(plan.config, element_bytes(plan.options.dtype.value_or(model.dtype())))},
      {"tensors",
       {{"merged", plan.count(Action::kMerge)},
        {"cast", plan.count(Action::kCast)},
        {"copied", plan.count(Action::kCopy)},
        {"moved", plan.count(Action::kMove)}}},
      {"architecture", plan.config_json["architectures"][0]},
      {"loaded_by", plan.target.loaded_by},
      {"files", file_list(executed.output_files)}};
  if (tokens)
    record["result"]["calibration"] = {{"origin", tokens->origin},
                                       {"windows", tokens->windows()},
                                       {"tokens_of_a_window", tokens->length()},
                                       {"held_out_windows", tokens->held_out}};
  add_layers(layers, record["result"]);
  if (const auto earlier = model.path / kProvenanceFile; std::filesystem::exists(earlier))
    record["source"]["provenance"] = read_json(earlier);
  return record;
}

std::string model_card(const family::ModelDirectory& model, const Plan& plan, const CalibrationTokens* tokens,
                       const Executed& executed) {
  const auto before =
      static_cast<double>(family::kv_bytes_per_token(model.config, element_bytes(model.dtype())));
  const auto after = static_cast<double>(
      family::kv_bytes_per_token(plan.config, element_bytes(plan.options.dtype.value_or(model.dtype()))));
  const std::string name = name_of(model.path);
  std::string card = fmt::format(
      "# {} with {} key/value heads\n\n"
      "Converted by regroup {} ({}) from `{}`: {} key/value heads became {}, so that {} query heads share "
      "one.\n\n"
      "| | source | this |\n|---|---|---|\n"
      "| key/value heads | {} | {} |\n| query heads | {} | {} |\n| key/value cache, a token | {} | {} |\n\n",
      name, plan.config.kv_heads, version(), commit(), name, model.config.kv_heads, plan.config.kv_heads,
      plan.config.group(), model.config.kv_heads, plan.config.kv_heads, model.config.heads, plan.config.heads,
      human_bytes(before), human_bytes(after));
  if (plan.merges)
    card += fmt::format(
        "Method: `{}`, {}. The model is changed by this and wants uptraining: `regroup uptrain`, then "
        "`regroup eval` "
        "against the source says what was lost.\n\n",
        plan.options.method, merge_method(plan.options.method).summary);
  if (tokens)
    card += fmt::format("Merged by what the source makes of {} windows of {} tokens: {}.\n\n",
                        tokens->windows(), tokens->length(), tokens->origin);
  card += "Source weights:\n\n";
  for (const FileRecord& file : executed.source_files)
    card += fmt::format("- `{}` sha256 `{}`\n", file.name, file.sha256);
  return card;
}

}  // namespace regroup::convert
