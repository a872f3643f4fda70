#include "convert/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "convert/attention_layer.h"
#include "convert/merge_method.h"
#include "convert/refits/refits.h"
#include "core/base/error.h"
#include "core/base/units.h"
#include "core/family/catalogue.h"
#include "core/family/layout.h"

namespace regroup::convert {
namespace {

using checkpoint::TensorInfo;
using family::ModelDirectory;
using family::ModelTensor;
using family::Part;

// Tensors that hold keys or values: their shape changes with the number of heads.
bool holds_kv(const ModelTensor& tensor, const family::ModelConfig& config) {
  for (const family::PartRows& held : family::parts_in(tensor.layout, tensor.part, config))
    switch (held.part) {
      case Part::kKeyWeight:
      case Part::kKeyBias:
      case Part::kValueWeight:
      case Part::kValueBias:
        return true;
      case Part::kKeyNorm:
        return config.qk_norm_by_head;
      default:
        break;
    }
  return false;
}

void require_divisor(const ModelDirectory& model, std::int64_t kv_heads) {
  const auto reachable = family::reachable_kv_heads(model.config);
  if (std::ranges::find(reachable, kv_heads) != reachable.end()) return;
  std::vector<std::string> counts;
  for (const std::int64_t count : reachable) counts.push_back(std::to_string(count));
  throw UserError({.where = "--kv-heads",
                   .what = fmt::format("does not divide the {} key/value heads of {}", model.config.kv_heads,
                                       model.path.string()),
                   .expected = "one of " + list_some(counts, 32),
                   .found = std::to_string(kv_heads)});
}

std::vector<std::int64_t> shape_with(const ModelDirectory& model, const ModelTensor& tensor,
                                     std::int64_t kv_heads) {
  family::ModelConfig config = model.config;
  config.kv_heads = kv_heads;
  return family::shape_of(tensor.dims, config);
}

// Whether merging writes query and output projections too: in another order, or turned.
bool changes_queries(const PlanOptions& options) {
  return options.grouping != "contiguous" || merge_method(options.method).turns_heads ||
         options.refit != "none";
}

// Whether attention looks at queries and keys as they are projected.
bool plain_scores(const family::ModelConfig& config) {
  return config.qk_norm == family::QkNorm::kNone && config.positions != family::Positions::kAlibi &&
         config.windows.empty() && config.clip_qkv == 0 && !config.attention_scale_by_layer;
}

PlanOptions resolved(PlanOptions options, const family::ModelConfig& config) {
  if (options.method.empty()) options.method = kBestMethod;
  const MergeMethod& method = merge_method(options.method);
  if (options.grouping.empty()) options.grouping = grouping_of(method, config);
  if (options.grouping != "contiguous" && !config.heads_can_move())
    throw UserError({.where = "--grouping",
                     .what = "ALiBi gives every head a slope by its number: heads cannot change places",
                     .expected = "contiguous",
                     .found = "'" + options.grouping + "'"});
  if (options.grouping != "contiguous" && method.merge == nullptr)
    throw UserError(
        {.where = "--grouping",
         .what = "method " + options.method + " keeps nothing of the heads: grouping them is idle",
         .expected = "contiguous",
         .found = "'" + options.grouping + "'"});
  const bool refits = !options.refit.empty() && !parse_refits(options.refit).empty();
  if (options.evidence == Evidence::kDrawn && !method.uses_statistics && options.grouping != "cost" &&
      !refits)
    options.evidence = Evidence::kWeights;
  if (options.refit.empty()) options.refit = options.evidence == Evidence::kWeights ? "none" : kBestRefit;
  if (refits && options.evidence == Evidence::kWeights)
    throw UserError({.where = "--refit",
                     .what = "a refit looks at what the model makes of tokens",
                     .found = "--weights-only",
                     .remedy = "Leave one of them out"});
  for (const Refit* refit : parse_refits(options.refit))
    if (refit->fit == fit_query && !plain_scores(config))
      throw UserError(
          {.where = "--refit",
           .what = "query knows no norms of queries and keys, no ALiBi, no windows and no clipping",
           .remedy = "Leave it out: ridge and reconstruct serve every model"});
  return options;
}

PlannedTensor plan_tensor(const ModelDirectory& model, const ModelTensor& tensor,
                          const PlanOptions& options) {
  PlannedTensor planned{.output = *tensor.stored.info, .source = &tensor};
  const bool weight = tensor.part != Part::kUnused;
  if (weight && options.dtype && *options.dtype != planned.output.dtype) {
    planned.output.dtype = *options.dtype;
    planned.action = Action::kCast;
  }
  if (options.kv_heads != model.config.kv_heads) {
    if (holds_kv(tensor, model.config)) {
      planned.output.shape = shape_with(model, tensor, options.kv_heads);
      planned.action = Action::kMerge;
    } else if (in_attention_layer(model.config, tensor.part) && changes_queries(options)) {
      planned.action = Action::kMerge;
    }
  }
  const auto bits = static_cast<std::uint64_t>(planned.output.elements()) *
                    static_cast<std::uint64_t>(checkpoint::dtype_bits(planned.output.dtype));
  planned.output.begin = 0;
  planned.output.end = bits / 8;
  return planned;
}

// Norms of single key heads: there are as many as heads.
bool is_left_out(const ModelTensor& tensor, const PlanOptions& options) {
  return tensor.part == Part::kKeyNorm && tensor.item >= options.kv_heads;
}

// The source's files again, each with the tensors that it had, in the order it had them.
std::vector<PlannedShard> shards_as_stored(const ModelDirectory& model, const PlanOptions& options) {
  std::vector<PlannedShard> shards;
  for (std::size_t file = 0; file < model.checkpoint.files().size(); ++file)
    shards.push_back({.file_name = model.checkpoint.safetensors_name(file),
                      .metadata = model.checkpoint.files()[file].header().metadata});
  for (const ModelTensor& tensor : model.tensors)
    if (!is_left_out(tensor, options))
      shards[tensor.stored.file].tensors.push_back(plan_tensor(model, tensor, options));
  return shards;
}

std::vector<PlannedShard> shards_of_size(const ModelDirectory& model, const PlanOptions& options) {
  std::vector<PlannedTensor> planned;
  std::vector<TensorInfo> infos;
  for (const ModelTensor& tensor : model.tensors) {
    if (is_left_out(tensor, options)) continue;
    planned.push_back(plan_tensor(model, tensor, options));
    infos.push_back(planned.back().output);
  }
  std::map<std::string_view, const PlannedTensor*> by_name;
  for (const PlannedTensor& tensor : planned) by_name[tensor.output.name] = &tensor;
  std::vector<PlannedShard> shards;
  for (const checkpoint::Shard& shard : checkpoint::shard_by_size(infos, *options.max_shard_size)) {
    shards.push_back(
        {.file_name = shard.file_name, .metadata = model.checkpoint.files().front().header().metadata});
    for (const TensorInfo& info : shard.tensors) shards.back().tensors.push_back(*by_name.at(info.name));
  }
  return shards;
}

// The tensors of the result's own table, for a model that moves to another architecture.
std::vector<PlannedShard> moved_shards(const ModelDirectory& model, const Plan& plan) {
  constexpr std::uint64_t kDefaultShard = 50'000'000'000;  // as HF has it
  const checkpoint::DType dtype = plan.options.dtype.value_or(model.dtype());
  std::map<std::string, PlannedTensor> planned;
  std::vector<TensorInfo> infos;
  for (const family::ExpectedTensor& tensor : family::expected_tensors(*plan.target.family, plan.config)) {
    if (!tensor.required) continue;
    TensorInfo info{.name = tensor.name, .dtype = dtype, .shape = tensor.shape, .begin = 0, .end = 0};
    info.end = static_cast<std::uint64_t>(info.elements()) *
               static_cast<std::uint64_t>(checkpoint::dtype_bits(dtype)) / 8;
    infos.push_back(info);
    planned[tensor.name] = {.output = info,
                            .source = nullptr,
                            .action = Action::kMove,
                            .moved = {.stored = {},
                                      .part = tensor.part,
                                      .layer = tensor.layer,
                                      .item = tensor.item,
                                      .dims = tensor.dims,
                                      .layout = tensor.layout}};
  }
  std::vector<PlannedShard> shards;
  for (const checkpoint::Shard& shard :
       checkpoint::shard_by_size(infos, plan.options.max_shard_size.value_or(kDefaultShard))) {
    shards.push_back({.file_name = shard.file_name, .metadata = {{"format", "pt"}}, .tensors = {}});
    for (const TensorInfo& info : shard.tensors) shards.back().tensors.push_back(planned.at(info.name));
  }
  return shards;
}

// A model that moves is stored as one type, whatever its source mixes. Empty where that rounds nothing, or
// was asked for.
std::string rounded_types(const ModelDirectory& model, const Plan& plan) {
  std::set<std::string> types;
  for (const ModelTensor& tensor : model.tensors)
    if (tensor.part != family::Part::kUnused)
      types.emplace(checkpoint::dtype_name(tensor.stored.info->dtype));
  if (!plan.target.home || plan.options.dtype || types.size() == 1) return "";
  return fmt::format(
      "the source's weights are {}, all of the result's {}: --dtype fp32 keeps the longer ones",
      list_some(std::vector<std::string>(types.begin(), types.end())), checkpoint::dtype_name(model.dtype()));
}

// What is written must be the model that was asked for to whoever reads it.
void require_read_again(const Plan& plan) {
  const std::string where = "config.json of the result";
  const family::Family& family = family::family_for(plan.config_json, where);
  check(&family == plan.target.family &&
            family.read_config(plan.config_json, where).kv_heads == plan.options.kv_heads,
        "config.json says the key/value heads that were asked for");
}

std::string cache_line(const family::ModelConfig& config, std::int64_t element_bytes) {
  const auto per_token = static_cast<double>(family::kv_bytes_per_token(config, element_bytes));
  return fmt::format("{} a token, {} at {} tokens", human_bytes(per_token),
                     human_bytes(per_token * static_cast<double>(config.max_positions)),
                     config.max_positions);
}

// What the result is, and who loads it.
std::string target_line(const Plan& plan) {
  const std::string architecture = plan.config_json["architectures"][0];
  if (!plan.merges && !plan.target.home) return architecture + ", as the source: what loads that loads it";
  if (plan.target.loaded_by.empty())
    return architecture +
           ": no engine has a class for it, and none will load it by mistake; eval, uptrain and "
           "generate do";
  std::string line = fmt::format("{}, loaded by {}", architecture, list_some(plan.target.loaded_by));
  if (plan.target.home && plan.config.shared_norm)
    line += "; norms are taken into projections (exact but for the rounding of what is stored)";
  return line;
}

}  // namespace

std::string_view evidence_name(Evidence evidence) {
  switch (evidence) {
    case Evidence::kWeights:
      return "weights alone";
    case Evidence::kDrawn:
      return "weights and tokens drawn at random";
    case Evidence::kOwnText:
      return "text that it writes itself";
    case Evidence::kText:
      return "text";
  }
  check(false, "an Evidence without a name");
  return {};
}

Evidence asked_evidence(const CalibrationOptions& options) {
  const auto exclude = [](bool both, const char* flag, const char* other, const char* why) {
    if (both)
      throw UserError({.where = flag,
                       .what = why,
                       .found = std::string(other) + " too",
                       .remedy = "Leave one of them out"});
  };
  exclude(options.generate && !options.files.empty(), "--generate-calibration", "--calibration",
          "either the model writes the text, or you give it");
  exclude(options.weights_only && !options.files.empty(), "--weights-only", "--calibration",
          "nothing is read besides weights");
  exclude(options.weights_only && options.generate, "--weights-only", "--generate-calibration",
          "nothing is looked at besides weights");
  if (options.generate) return Evidence::kOwnText;
  if (!options.files.empty()) return Evidence::kText;
  return options.weights_only ? Evidence::kWeights : Evidence::kDrawn;
}

std::uint64_t Plan::output_bytes() const {
  std::uint64_t bytes = 0;
  for (const PlannedShard& shard : shards)
    for (const PlannedTensor& tensor : shard.tensors) bytes += tensor.output.bytes();
  return bytes;
}

std::int64_t Plan::count(Action action) const {
  std::int64_t found = 0;
  for (const PlannedShard& shard : shards)
    found += std::ranges::count(shard.tensors, action, &PlannedTensor::action);
  return found;
}

Plan make_plan(const ModelDirectory& model, const PlanOptions& asked) {
  require_divisor(model, asked.kv_heads);
  const PlanOptions options = resolved(asked, model.config);
  Plan plan{.options = options,
            .target = family::choose_target(*model.family, model.config_json, model.config, options.kv_heads,
                                            options.target),
            .config = model.config};
  plan.config_json = plan.target.config;
  plan.merges = options.kv_heads != model.config.kv_heads;
  if (plan.target.home) {
    plan.config = plan.target.family->read_config(plan.config_json, "config.json of the result");
    plan.shards = moved_shards(model, plan);
    plan.indexed = plan.shards.size() > 1;
    if (options.dtype) plan.config_json = family::with_dtype(plan.config_json, *options.dtype);
  } else {
    plan.config.kv_heads = options.kv_heads;
    plan.shards = options.max_shard_size ? shards_of_size(model, options) : shards_as_stored(model, options);
    plan.indexed = options.max_shard_size ? plan.shards.size() > 1 : model.checkpoint.sharded();
    if (plan.count(Action::kCast) > 0)
      plan.config_json = family::with_dtype(plan.config_json, *options.dtype);
  }
  require_read_again(plan);
  plan.carried = model::companions(model);
  return plan;
}

std::string plan_text(const ModelDirectory& model, const Plan& plan) {
  const auto stored = plan.options.dtype.value_or(model.dtype());
  const std::int64_t before_bytes = checkpoint::dtype_bits(model.dtype()) / 8,
                     after_bytes = checkpoint::dtype_bits(stored) / 8;
  const double before = static_cast<double>(model.checkpoint.data_bytes()),
               after = static_cast<double>(plan.output_bytes());
  std::vector<std::string> carried;
  for (const auto& file : plan.carried) carried.push_back(file.name.string());
  std::string text;
  const auto line = [&](std::string_view key, const std::string& value) {
    text += fmt::format("{:<16}{}\n", key, value);
  };
  line("source",
       fmt::format("{} ({}, {} layers, {} query heads of {})", model.path.string(), model.family->name,
                   model.config.layers, model.config.heads, model.config.head_dim));
  line("key/value heads", fmt::format("{} -> {} ({} query heads share one)", model.config.kv_heads,
                                      plan.config.kv_heads, plan.config.group()));
  line("method", plan.merges ? fmt::format("{}, from {}, groups by {}, refit {}", plan.options.method,
                                           evidence_name(plan.options.evidence), plan.options.grouping,
                                           plan.options.refit)
                             : "none: nothing to merge");
  line("written as", target_line(plan));
  if (plan.merges)
    for (const std::string& limit : family::merge_limits(model.config)) line("note", limit);
  if (const std::string types = rounded_types(model, plan); !types.empty()) line("note", types);
  line("tensors", plan.target.home ? fmt::format("{} made anew as {}", plan.count(Action::kMove),
                                                 checkpoint::dtype_name(stored))
                                   : fmt::format("{} merged, {} converted to {}, {} copied byte for byte",
                                                 plan.count(Action::kMerge), plan.count(Action::kCast),
                                                 checkpoint::dtype_name(stored), plan.count(Action::kCopy)));
  line("weights", fmt::format("{} -> {} ({:.1f}%) in {} file{}", human_bytes(before), human_bytes(after),
                              100 * after / before, plan.shards.size(), plan.shards.size() == 1 ? "" : "s"));
  line("cache before", cache_line(model.config, before_bytes));
  line("cache after", cache_line(plan.config, after_bytes));
  line("carried over", carried.empty() ? "nothing" : list_some(carried, 12));
  return text;
}

}  // namespace regroup::convert
