#include "convert/inspect_heads.h"

#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <mutex>
#include <optional>

#include "convert/head_similarity.h"
#include "convert/merged_layers.h"
#include "convert/plan.h"
#include "convert/source_stream.h"
#include "convert/stream_storage.h"
#include "core/base/error.h"
#include "core/base/output_file.h"
#include "core/base/progress.h"
#include "core/family/model_directory.h"
#include "core/model/device.h"
#include "core/model/weights.h"

namespace regroup::convert {
namespace {

using family::ModelDirectory;

// Numbers of key/value heads that merge some, most first.
std::vector<std::int64_t> mergeable(const ModelDirectory& model) {
  std::vector<std::int64_t> counts = family::reachable_kv_heads(model.config);
  std::erase(counts, model.config.kv_heads);
  std::ranges::sort(counts, std::greater());
  if (counts.empty())
    throw UserError(
        {.where = model.path.string(), .what = "has one key/value head: there is nothing to merge"});
  return counts;
}

// The counts whose groups are shown.
std::vector<std::int64_t> shown_counts(const std::vector<std::int64_t>& asked,
                                       const std::vector<std::int64_t>& reachable) {
  if (asked.empty()) return {reachable[(reachable.size() - 1) / 2]};
  std::vector<std::string> counts;
  for (const std::int64_t count : reachable) counts.push_back(std::to_string(count));
  for (const std::int64_t count : asked)
    if (std::ranges::find(reachable, count) == reachable.end())
      throw UserError({.where = "--kv-heads",
                       .what = "no number of key/value heads to merge to",
                       .expected = "one of " + list_some(counts, 32),
                       .found = std::to_string(count)});
  std::vector<std::int64_t> shown;
  for (const std::int64_t count : reachable)
    if (std::ranges::find(asked, count) != asked.end()) shown.push_back(count);
  return shown;
}

const MergeMethod& method_with_cost(const std::string& name) {
  const MergeMethod& method = merge_method(name.empty() ? kBestMethod : std::string_view(name));
  if (method.merge == nullptr)
    throw UserError({.where = "--method",
                     .what = fmt::format("{} keeps nothing of the heads: merging has no cost", method.name),
                     .remedy = "Name another method"});
  return method;
}

double mean_of_others(const at::Tensor& matrix_KK) {
  const auto heads = static_cast<double>(matrix_KK.size(0));
  return (matrix_KK.sum() - matrix_KK.diagonal().sum()).item<double>() / (heads * (heads - 1));
}

Json rows(const at::Tensor& matrix_KK) {
  Json list = Json::array();
  for (std::int64_t i = 0; i < matrix_KK.size(0); ++i) {
    const at::Tensor row = matrix_KK[i].contiguous();
    list.push_back(
        std::vector<double>(row.const_data_ptr<double>(), row.const_data_ptr<double>() + row.numel()));
  }
  return list;
}

Json similarity_json(const HeadSimilarity& similarity) {
  return {{"before", mean_of_others(similarity.before_KK)},
          {"after", mean_of_others(similarity.after_KK)},
          {"before_matrix", rows(similarity.before_KK)},
          {"after_matrix", rows(similarity.after_KK)}};
}

// What merging groups of one layer loses; a group that several numbers of heads ask for is merged once.
class LayerCosts {
 public:
  LayerCosts(const MergeMethod& method, const MergeProblem& problem) : method_(method), problem_(problem) {}

  // Safe to call from several threads.
  MergeError of(const Members& members) {
    {
      const std::lock_guard lock(mutex_);
      if (const auto found = known_.find(members); found != known_.end()) return found->second;
    }
    const MergeError error = group_error(method_, problem_.statistics, members, problem_.context);
    const std::lock_guard lock(mutex_);
    known_.emplace(members, error);
    return error;
  }
  MergeError of(const Grouping& groups) {
    MergeError sum;
    for (const Members& members : groups) {
      sum.keys += of(members).keys;
      sum.values += of(members).values;
    }
    return sum;
  }

 private:
  const MergeMethod& method_;
  const MergeProblem& problem_;
  std::mutex mutex_;
  std::map<Members, MergeError> known_;
};

Json error_json(const MergeError& error) {
  return {{"cost", error.total()}, {"keys", error.keys}, {"values", error.values}};
}

Json merge_json(const MergeRecipe& recipe, const AttentionLayer& source, LayerCosts& costs,
                std::int64_t layer) {
  const ChosenGroups chosen =
      choose_groups(recipe, source.kv_heads(), source.head_dim(), layer,
                    [&](const Members& members) { return costs.of(members).total(); });
  Json merge = {{"kv_heads", recipe.groups}};
  merge.update(error_json(costs.of(chosen.groups)));
  merge["least"] = chosen.exact;
  merge["groups"] = chosen.groups;
  merge["contiguous"] = error_json(costs.of(contiguous_groups(source.kv_heads(), recipe.groups)));
  return merge;
}

// What a conversion without text goes by, the source's inputs over drawn tokens: layers in order.
class DrawnInputs {
 public:
  DrawnInputs(const ModelDirectory& model, const InspectHeadsOptions& options)
      : model_(model),
        device_(model::open_device(options.device)),
        type_(arithmetic_of(model)),
        tokens_(
            draw_calibration(model, {.tokens = options.calibration_tokens}, options.device, options.seed)),
        stream_(model, tokens_.tokens_WT, StreamStorage(model, tokens_.tokens_WT, 1, {}).make(), device_) {}

  InputMoments next(const AttentionLayer& attention) {
    MomentSum moments(attention.k_KDN.size(2),
                      at::ones({tokens_.length(), 1}, at::TensorOptions(type_).device(device_)));
    stream_.advance(
        model::load_layer(model_, stream_.layer(), type_, device_),
        [&](const SourceStream::Step& step) { moments.add(tokens_.learned(step.input_BTM, step.begin)); });
    return moments.mean();
  }

 private:
  const ModelDirectory& model_;
  at::Device device_;
  at::ScalarType type_;
  CalibrationTokens tokens_;
  SourceStream stream_;
};

// `inputs`: null from weights alone. How alike heads are is a matter of the weights.
Json layer_json(const ModelDirectory& model, MergeRecipe recipe, const std::vector<std::int64_t>& counts,
                std::int64_t layer, DrawnInputs* inputs) {
  const AttentionLayer attention = read_attention(model, layer, /*with_queries=*/true);
  const InputMoments expected = moments_from_weights(model, layer, attention);
  MergeProblem problem = merge_problem(attention, &expected, /*calibrated=*/false, *recipe.method);
  Json json = {{"layer", layer},
               {"keys", similarity_json(key_similarity(problem.statistics))},
               {"values", similarity_json(value_similarity(problem.statistics))},
               {"merges", Json::array()}};
  if (inputs) {
    const InputMoments seen = inputs->next(attention);
    problem = merge_problem(attention, &seen, /*calibrated=*/true, *recipe.method);
  }
  LayerCosts costs(*recipe.method, problem);
  for (const std::int64_t count : counts) {
    recipe.groups = count;
    json["merges"].push_back(merge_json(recipe, problem.source, costs, layer));
  }
  return json;
}

// The mean over layers of every number that each has.
Json mean_json(const Json& layers) {
  const auto mean = [&](const std::function<double(const Json&)>& number) {
    double sum = 0;
    for (const Json& layer : layers) sum += number(layer);
    return sum / static_cast<double>(layers.size());
  };
  Json json;
  for (const char* part : {"keys", "values"})
    for (const char* state : {"before", "after"})
      json[part][state] = mean([&](const Json& layer) { return layer[part][state].get<double>(); });
  json["merges"] = Json::array();
  for (std::size_t i = 0; i < layers[0]["merges"].size(); ++i) {
    Json merge = {{"kv_heads", layers[0]["merges"][i]["kv_heads"]}};
    for (const char* loss : {"cost", "keys", "values"})
      merge[loss] = mean([&](const Json& layer) { return layer["merges"][i][loss].get<double>(); });
    for (const char* loss : {"cost", "keys", "values"})
      merge["contiguous"][loss] =
          mean([&](const Json& layer) { return layer["merges"][i]["contiguous"][loss].get<double>(); });
    json["merges"].push_back(std::move(merge));
  }
  return json;
}

}  // namespace

Json inspect_heads(const InspectHeadsOptions& options) {
  const ModelDirectory model = family::open_model(options.model);
  const MergeMethod& method = method_with_cost(options.method);
  const std::vector<std::int64_t> counts = mergeable(model);
  const family::ModelConfig& config = model.config;
  const std::string_view grouping = grouping_of(method, config);
  const bool drawn = options.calibration_tokens > 0;
  if (drawn && !method.uses_statistics)
    throw UserError({.where = "--calibration-tokens",
                     .what = fmt::format("method {} looks at none", method.name),
                     .remedy = "Leave it out"});
  Json json = {{"path", model.path.string()},
               {"heads", config.heads},
               {"kv_heads", config.kv_heads},
               {"head_dim", config.head_dim},
               {"method", method.name},
               {"grouping", grouping},
               {"evidence", evidence_name(drawn ? Evidence::kDrawn : Evidence::kWeights)},
               {"shown", shown_counts(options.kv_heads, counts)}};
  if (!options.report.empty()) require_output_file(options.report, "--report", options.overwrite);
  const auto width = static_cast<double>(config.hidden);
  json["unrelated"] = {{"keys", std::sqrt(1 / width)},
                       {"values", std::sqrt(std::min(1., static_cast<double>(config.head_dim) / width))}};
  const MergeRecipe recipe{.method = &method,
                           .by_cost = grouping == "cost",
                           .grouping_seconds = PlanOptions().grouping_seconds,
                           .layers = config.layers,
                           .seed = options.seed};
  json["layers"] = Json::array();
  const at::NoGradGuard no_grad;
  std::optional<DrawnInputs> inputs;
  if (drawn) inputs.emplace(model, options);
  {
    Progress progress("inspecting heads", static_cast<double>(config.layers), "layers");
    for (std::int64_t layer = 0; layer < config.layers; ++layer) {
      json["layers"].push_back(layer_json(model, recipe, counts, layer, inputs ? &*inputs : nullptr));
      progress.advance(1);
    }
  }
  json["mean"] = mean_json(json["layers"]);
  if (!options.report.empty()) write_output_file(options.report, heads_html(json), options.overwrite);
  return json;
}

}  // namespace regroup::convert
