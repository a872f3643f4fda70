// The shape of EleutherAI's lm-evaluation-harness: what its tables, its Zeno and W&B scripts and leaderboards
// read. The key of a figure is "METRIC,FILTER"; there is no filter here ("none"). Its own perplexity tasks
// print "N/A" for errors; here they are known.
#include <fmt/format.h>

#include <ctime>
#include <optional>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/base/version.h"
#include "eval/report.h"

namespace regroup::eval {
namespace {

// A figure by lm-eval's name for it.
struct Metric {
  std::string_view name;
  bool higher_is_better;
  std::optional<Figure> figure;
};

// What lm-eval calls a task: one of its own here, or a text.
struct LmEvalTask {
  std::string name, output_type, description;
  std::int64_t samples = 0;
  std::vector<Metric> metrics;
};

LmEvalTask text_task(const ModelResult& model, const Result& result) {
  check(model.bits_per_byte.has_value(), "the whole of a text was scored");
  LmEvalTask task{.output_type = "loglikelihood_rolling",
                  .description = result.convention + ": " + result.convention_summary,
                  .samples = result.documents,
                  .metrics = {{"word_perplexity", false, model.word_perplexity},
                              {"byte_perplexity", false, model.byte_perplexity},
                              {"bits_per_byte", false, model.bits_per_byte}}};
  for (const DataFile& file : result.files)
    task.name += (task.name.empty() ? "" : "+") + file.path.stem().string();
  return task;
}

LmEvalTask task_of(const TaskFacts& facts, const TaskFigures& figures) {
  LmEvalTask task{.name = facts.name,
                  .output_type = figures.perplexity ? "loglikelihood" : "multiple_choice",
                  .description = facts.summary,
                  .samples = facts.examples};
  if (figures.perplexity) task.metrics.push_back({"perplexity", false, figures.perplexity});
  for (const TaskAccuracy& accuracy : figures.accuracies)
    task.metrics.push_back({accuracy.key, true, accuracy.share});
  return task;
}

std::vector<LmEvalTask> tasks_of(const ModelResult& model, const Result& result) {
  std::vector<LmEvalTask> tasks;
  if (result.scored_tokens > 0) tasks.push_back(text_task(model, result));
  for (std::size_t t = 0; t < result.tasks.size(); ++t)
    tasks.push_back(task_of(result.tasks[t], model.tasks[t]));
  return tasks;
}

double unix_time(const std::string& date) {
  std::tm time = {};
  if (!strptime(date.c_str(), "%Y-%m-%dT%H:%M:%SZ", &time)) return 0;
  return static_cast<double>(timegm(&time));
}

Json figures_json(const LmEvalTask& task) {
  Json json = {{"name", task.name}, {"alias", task.name}, {"sample_len", task.samples}};
  for (const Metric& metric : task.metrics) {
    if (!metric.figure) continue;
    json[std::string(metric.name) + ",none"] = metric.figure->value;
    json[std::string(metric.name) + "_stderr,none"] =
        metric.figure->error ? Json(*metric.figure->error) : Json("N/A");
  }
  return json;
}

Json config_json(const LmEvalTask& task, const Result& result) {
  Json metrics = Json::array();
  for (const Metric& metric : task.metrics)
    metrics.push_back({{"metric", metric.name}, {"higher_is_better", metric.higher_is_better}});
  return {{"task", task.name},
          {"output_type", task.output_type},
          {"num_fewshot", 0},
          {"metric_list", metrics},
          {"description", task.description},
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
  Json json = {
      {"results", Json::object()},
      {"group_subtasks", Json::object()},
      {"configs", Json::object()},
      {"versions", Json::object()},
      {"n-shot", Json::object()},
      {"higher_is_better", Json::object()},
      {"n-samples", Json::object()},
      {"config", run_config(model, result)},
      {"git_hash", commit()},
      {"date", unix_time(result.date)},
      {"max_length", result.window},
      {"model_source", "regroup"},
      {"model_name", model.facts.name},
      {"model_name_sanitized", model.facts.name},
      {"total_evaluation_time_seconds", fmt::format("{}", model.load_seconds + model.score_seconds)}};
  for (const LmEvalTask& task : tasks_of(model, result)) {
    json["results"][task.name] = figures_json(task);
    json["configs"][task.name] = config_json(task, result);
    json["versions"][task.name] = 1.0;
    json["n-shot"][task.name] = 0;
    json["n-samples"][task.name] = {{"original", task.samples}, {"effective", task.samples}};
    for (const Metric& metric : task.metrics)
      json["higher_is_better"][task.name][std::string(metric.name)] = metric.higher_is_better;
  }
  return json;
}

}  // namespace regroup::eval
