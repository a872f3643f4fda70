#include "convert/plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "convert/merge_method.h"
#include "convert/refit.h"
#include "core/base/error.h"
#include "core/base/units.h"
#include "core/checkpoint/carry.h"

namespace regroup::convert {
namespace {

using checkpoint::TensorInfo;
using family::ModelDirectory;
using family::ModelTensor;
using family::Part;

bool is_kv(Part part) {
  return part == Part::kKeyWeight || part == Part::kValueWeight || part == Part::kKeyBias ||
         part == Part::kValueBias;
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

bool is_query_or_output(Part part) {
  return part == Part::kQueryWeight || part == Part::kQueryBias || part == Part::kOutputWeight;
}

// Whether merging writes query and output projections too: in another order, or turned.
bool changes_queries(const PlanOptions& options) {
  return options.grouping != "contiguous" || merge_method(options.method).turns_heads ||
         options.refit != "none";
}

PlanOptions resolved(PlanOptions options) {
  if (options.method.empty()) options.method = kBestMethod;
  const MergeMethod& method = merge_method(options.method);
  if (options.grouping.empty()) options.grouping = method.grouping;
  if (options.grouping != "contiguous" && method.merge == nullptr)
    throw UserError(
        {.where = "--grouping",
         .what = "method " + options.method + " keeps nothing of the heads: grouping them is idle",
         .expected = "contiguous",
         .found = "'" + options.grouping + "'"});
  if (options.refit.empty()) options.refit = options.calibrated ? kBestRefit : "none";
  if (!parse_refits(options.refit).empty() && !options.calibrated)
    throw UserError({.where = "--refit",
                     .what = "a refit looks at text",
                     .found = "no --calibration",
                     .remedy = "Name text with --calibration, let the model write it with "
                               "--generate-calibration, or leave --refit out"});
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
    if (is_kv(tensor.part)) {
      planned.output.shape.front() = options.kv_heads * model.config.head_dim;
      planned.action = Action::kMerge;
    } else if (is_query_or_output(tensor.part) && changes_queries(options)) {
      planned.action = Action::kMerge;
    }
  }
  const auto bits = static_cast<std::uint64_t>(planned.output.elements()) *
                    static_cast<std::uint64_t>(checkpoint::dtype_bits(planned.output.dtype));
  planned.output.begin = 0;
  planned.output.end = bits / 8;
  return planned;
}

// The source's files again, each with the tensors that it had, in the order it had them.
std::vector<PlannedShard> shards_as_stored(const ModelDirectory& model, const PlanOptions& options) {
  std::vector<PlannedShard> shards;
  for (std::size_t file = 0; file < model.checkpoint.files().size(); ++file)
    shards.push_back({.file_name = model.checkpoint.safetensors_name(file),
                      .metadata = model.checkpoint.files()[file].header().metadata});
  for (const ModelTensor& tensor : model.tensors)
    shards[tensor.stored.file].tensors.push_back(plan_tensor(model, tensor, options));
  return shards;
}

std::vector<PlannedShard> shards_of_size(const ModelDirectory& model, const PlanOptions& options) {
  std::vector<PlannedTensor> planned;
  std::vector<TensorInfo> infos;
  for (const ModelTensor& tensor : model.tensors) {
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

std::string cache_line(const family::ModelConfig& config, std::int64_t element_bytes) {
  const auto per_token = static_cast<double>(family::kv_bytes_per_token(config, element_bytes));
  return fmt::format("{} a token, {} at {} tokens", human_bytes(per_token),
                     human_bytes(per_token * static_cast<double>(config.max_positions)),
                     config.max_positions);
}

}  // namespace

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
  const PlanOptions options = resolved(asked);
  Plan plan{.options = options, .config = model.config, .config_json = model.config_json};
  plan.config.kv_heads = options.kv_heads;
  if (options.kv_heads != model.config.kv_heads)
    plan.config_json = model.family->with_kv_heads(model.config_json, options.kv_heads);
  plan.shards = options.max_shard_size ? shards_of_size(model, options) : shards_as_stored(model, options);
  plan.indexed = options.max_shard_size ? plan.shards.size() > 1 : model.checkpoint.sharded();
  if (plan.count(Action::kCast) > 0) plan.config_json = family::with_dtype(plan.config_json, *options.dtype);
  plan.carried = checkpoint::carried_files(model.path);
  return plan;
}

std::string plan_text(const ModelDirectory& model, const Plan& plan) {
  const auto stored = plan.options.dtype.value_or(model.dtype());
  const std::int64_t before_bytes = checkpoint::dtype_bits(model.dtype()) / 8,
                     after_bytes = checkpoint::dtype_bits(stored) / 8;
  const double before = static_cast<double>(model.checkpoint.data_bytes()),
               after = static_cast<double>(plan.output_bytes());
  std::vector<std::string> carried;
  for (const auto& file : plan.carried) carried.push_back(file.string());
  std::string text;
  const auto line = [&](std::string_view key, const std::string& value) {
    text += fmt::format("{:<16}{}\n", key, value);
  };
  line("source",
       fmt::format("{} ({}, {} layers, {} query heads of {})", model.path.string(), model.family->name,
                   model.config.layers, model.config.heads, model.config.head_dim));
  line("key/value heads", fmt::format("{} -> {} ({} query heads share one)", model.config.kv_heads,
                                      plan.config.kv_heads, plan.config.group()));
  line("method", plan.count(Action::kMerge) > 0
                     ? fmt::format("{}, from {}, groups by {}, refit {}", plan.options.method,
                                   !plan.options.calibrated ? "weights alone"
                                   : plan.options.own_text  ? "text that it writes itself"
                                                            : "text",
                                   plan.options.grouping, plan.options.refit)
                     : "none: nothing to merge");
  line("tensors",
       fmt::format("{} merged, {} converted to {}, {} copied byte for byte", plan.count(Action::kMerge),
                   plan.count(Action::kCast), checkpoint::dtype_name(stored), plan.count(Action::kCopy)));
  line("weights", fmt::format("{} -> {} ({:.1f}%) in {} file{}", human_bytes(before), human_bytes(after),
                              100 * after / before, plan.shards.size(), plan.shards.size() == 1 ? "" : "s"));
  line("cache before", cache_line(model.config, before_bytes));
  line("cache after", cache_line(plan.config, after_bytes));
  line("carried over", carried.empty() ? "nothing" : list_some(carried, 12));
  return text;
}

}  // namespace regroup::convert
