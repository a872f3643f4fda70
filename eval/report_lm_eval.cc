// The shape of EleutherAI's lm-evaluation-harness: what its tables, its Zeno and W&B scripts and leaderboards
// read. The key of a figure is "METRIC,FILTER"; there is no filter here ("none"). Its own perplexity tasks
// print "N/A" for errors; here they are known.
#include <fmt/format.h>

#include <ctime>
#include <optional>
#include <span>

#include "core/base/error.h"
#include "core/base/version.h"
#include "eval/report.h"

namespace regroup::eval {
namespace {

struct Metric {
  std::string_view name;
  std::optional<Figure> ModelResult::*figure;
};

constexpr Metric kMetrics[] = {{"word_perplexity", &ModelResult::word_perplexity},
                               {"byte_perplexity", &ModelResult::byte_perplexity},
                               {"bits_per_byte", &ModelResult::bits_per_byte}};

// What lm-eval calls a task is a text here.
std::string task_of(const Result& result) {
  std::string task;
  for (const DataFile& file : result.files) task += (task.empty() ? "" : "+") + file.path.stem().string();
  return task;
}

double unix_time(const std::string& date) {
  std::tm time = {};
  if (!strptime(date.c_str(), "%Y-%m-%dT%H:%M:%SZ", &time)) return 0;
  return static_cast<double>(timegm(&time));
}

Json figures_json(const ModelResult& model, const std::string& task, const Result& result) {
  Json json = {{"name", task}, {"alias", task}, {"sample_len", result.documents}};
  for (const Metric& metric : kMetrics) {
    const std::optional<Figure>& figure = model.*metric.figure;
    if (!figure) continue;
    json[std::string(metric.name) + ",none"] = figure->value;
    json[std::string(metric.name) + "_stderr,none"] = figure->error ? Json(*figure->error) : Json("N/A");
  }
  return json;
}

Json task_config(const std::string& task, const Result& result) {
  Json metrics = Json::array();
  for (const Metric& metric : kMetrics) metrics.push_back({{"metric", metric.name}});
  return {{"task", task},
          {"output_type", "loglikelihood_rolling"},
          {"num_fewshot", 0},
          {"metric_list", metrics},
          {"description", result.convention + ": " + result.convention_summary},
          {"metadata", {{"version", 1.0}, {"max_length", result.window}}}};
}

Json run_config(const ModelResult& model, const Result& result) {
  return {
      {"model", "regroup"},
      {"model_args",
       {{"pretrained", model.facts.path.string()}, {"dtype", result.dtype}, {"max_length", result.window}}},
      {"model_num_parameters", model.facts.parameters},
      {"model_dtype", result.dtype},
      {"batch_size", std::to_string(result.batch)},
      {"device", result.device}};
}

}  // namespace

Json lm_eval_json(const Result& result) {
  check(result.models.size() <= 2, "a file of lm-eval is of one model");
  const ModelResult& model = result.models.back();
  check(model.bits_per_byte.has_value(), "the whole of a text was scored");
  const std::string task = task_of(result);
  Json better = Json::object();
  for (const Metric& metric : kMetrics) better[std::string(metric.name)] = false;
  const auto of_task = [&](Json value) { return Json{{task, std::move(value)}}; };
  return {{"results", of_task(figures_json(model, task, result))},
          {"group_subtasks", Json::object()},
          {"configs", of_task(task_config(task, result))},
          {"versions", of_task(1.0)},
          {"n-shot", of_task(0)},
          {"higher_is_better", of_task(better)},
          {"n-samples", of_task({{"original", result.documents}, {"effective", result.documents}})},
          {"config", run_config(model, result)},
          {"git_hash", commit()},
          {"date", unix_time(result.date)},
          {"max_length", result.window},
          {"model_source", "regroup"},
          {"model_name", model.facts.name},
          {"model_name_sanitized", model.facts.name},
          {"total_evaluation_time_seconds", fmt::format("{}", model.load_seconds + model.score_seconds)}};
}

}  // namespace regroup::eval
