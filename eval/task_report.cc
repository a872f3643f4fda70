#include "eval/task_report.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <span>

#include "eval/baseline.h"
#include "eval/figure.h"
#include "eval/report.h"
#include "eval/text.h"

namespace regroup::eval {
namespace {

constexpr int kPointsDecimals = 2;

std::string share_cell(const Figure& share) {
  return with_error(scaled(share, 100), kPointsDecimals);
}

std::string p_text(double p) {
  return p < 0.001 ? fmt::format("{:.1e}", p) : fmt::format("{:.3f}", p);
}

std::string changes(const TaskAccuracy& accuracy) {
  return fmt::format("{} / {}", grouped(accuracy.worse), grouped(accuracy.better));
}

const TaskAccuracy* normalized(const TaskFigures& figures) {
  return figures.accuracies.size() > 1 ? &figures.accuracies[1] : nullptr;
}

// A cell where there is something to say.
template <typename T, typename Cell>
std::string cell(const T& value, Cell make) {
  return value ? make(*value) : std::string();
}

std::vector<std::string> row_of(const ModelResult& model, const TaskFacts& task, const TaskFigures& figures,
                                bool is_source) {
  const TaskAccuracy& accuracy = figures.accuracies.front();
  const auto points = [](const Figure& difference) {
    return with_error(scaled(difference, 100), kPointsDecimals, true);
  };
  return {task.name,
          model.facts.name + (is_source ? " (source)" : ""),
          share_cell(accuracy.share),
          cell(accuracy.difference, points),
          is_source ? "" : changes(accuracy),
          is_source ? "" : p_text(accuracy.mcnemar_p),
          cell(normalized(figures), [](const TaskAccuracy& other) { return share_cell(other.share); }),
          cell(figures.perplexity, [](const Figure& figure) { return with_error(figure, 2); })};
}

Json figure_or_null(const std::optional<Figure>& figure) {
  return figure ? figure_json(*figure) : Json();
}

Json json_of(const TaskAccuracy& accuracy) {
  Json json = {{"share", figure_json(accuracy.share)}, {"difference", figure_or_null(accuracy.difference)}};
  if (!accuracy.difference) return json;
  json["worse"] = accuracy.worse;
  json["better"] = accuracy.better;
  json["mcnemar_p"] = accuracy.mcnemar_p;
  return json;
}

// "accuracy 1.20 ± 0.40 points lower"
std::string moved_by(const Figure& change) {
  const Figure points = scaled(change, change.value < 0 ? -100 : 100);
  return fmt::format("accuracy {} points {}", with_error(points, kPointsDecimals),
                     change.value < 0   ? "lower"
                     : change.value > 0 ? "higher"
                                        : "apart");
}

std::string task_sentence(const ModelResult& model, std::size_t t, const Result& result) {
  const TaskAccuracy& accuracy = model.tasks[t].accuracies.front();
  const std::string subject = fmt::format("{} on {}: ", model.facts.name, result.tasks[t].name);
  if (accuracy.worse + accuracy.better == 0)
    return subject + "right and wrong on the same examples as the source.";
  return fmt::format(
      "{}{} {} the source's; {} of {} examples got worse, {} better (McNemar's exact test: p = {}).", subject,
      moved_by(*accuracy.difference), accuracy.difference->value == 0 ? "from" : "than",
      grouped(accuracy.worse), grouped(result.tasks[t].examples), grouped(accuracy.better),
      p_text(accuracy.mcnemar_p));
}

std::string task_change_sentence(const ModelResult& model, std::size_t t, const Result& result) {
  if (!result.baseline || !model.tasks[t].since) return "";
  const auto& [change, paired] = *model.tasks[t].since;
  const std::string subject =
      fmt::format("{} on {} since {}: ", model.facts.name, result.tasks[t].name, named(*result.baseline));
  const std::string how =
      paired ? "example by example" : "unpaired, for want of the baseline's --per-example file";
  return fmt::format("{}{}, {}.", subject, moved_by(change), how);
}

}  // namespace

std::vector<std::vector<std::string>> task_rows(const Result& result) {
  if (result.tasks.empty()) return {};
  std::vector<std::vector<std::string>> rows = {{"task", "model", "acc, %", "to source, points",
                                                 "worse / better", "McNemar p", "acc_norm, %", "perplexity"}};
  for (std::size_t t = 0; t < result.tasks.size(); ++t)
    for (const ModelResult& model : result.models)
      rows.push_back(row_of(model, result.tasks[t], model.tasks[t], &model == &result.models.front()));
  for (std::size_t column = rows.front().size(); column-- > 0;) {
    bool empty = true;
    for (std::size_t row = 1; row < rows.size(); ++row) empty = empty && rows[row][column].empty();
    if (!empty) continue;
    for (std::vector<std::string>& row : rows) row.erase(row.begin() + static_cast<std::ptrdiff_t>(column));
  }
  return rows;
}

std::vector<std::string> task_sentences(const ModelResult& model, const Result& result) {
  std::vector<std::string> sentences;
  for (std::size_t t = 0; t < model.tasks.size(); ++t) {
    const TaskAccuracy& accuracy = model.tasks[t].accuracies.front();
    if (!accuracy.difference) continue;
    sentences.push_back(task_sentence(model, t, result));
    std::string since = task_change_sentence(model, t, result);
    if (!since.empty()) sentences.push_back(std::move(since));
  }
  return sentences;
}

std::string source_task_sentence(const Result& result) {
  const ModelResult& source = result.models.front();
  std::vector<std::string> parts;
  for (std::size_t t = 0; t < result.tasks.size(); ++t)
    parts.push_back(
        fmt::format("{}% on {}", share_cell(source.tasks[t].accuracies.front().share), result.tasks[t].name));
  return fmt::format("{}: accuracy {}.", source.facts.name, fmt::join(parts, ", "));
}

std::string task_measurement(const Result& result) {
  std::vector<std::string> parts;
  for (const TaskFacts& task : result.tasks)
    parts.push_back(
        fmt::format("{} ({} example{})", task.name, grouped(task.examples), task.examples == 1 ? "" : "s"));
  return fmt::format("{}", fmt::join(parts, ", "));
}

Json tasks_json(const Result& result) {
  Json json = Json::array();
  for (std::size_t t = 0; t < result.tasks.size(); ++t) {
    const DataFile& file = result.task_files[t];
    json.push_back({{"name", result.tasks[t].name},
                    {"summary", result.tasks[t].summary},
                    {"examples", result.tasks[t].examples},
                    {"path", file.path.string()},
                    {"bytes", file.bytes},
                    {"sha256", file.sha256}});
  }
  return json;
}

Json tasks_json(const ModelResult& model, const Result& result) {
  Json json = Json::array();
  for (std::size_t t = 0; t < model.tasks.size(); ++t) {
    const TaskFigures& figures = model.tasks[t];
    Json task = {{"name", result.tasks[t].name}};
    for (const TaskAccuracy& accuracy : figures.accuracies) task[accuracy.key] = json_of(accuracy);
    if (figures.perplexity) {
      task["perplexity"] = figure_json(*figures.perplexity);
      task["perplexity_ratio"] = figure_or_null(figures.perplexity_ratio);
    }
    if (figures.since)
      task["since_baseline"] = {{"acc", figure_json(figures.since->share)},
                                {"paired", figures.since->paired}};
    json.push_back(std::move(task));
  }
  return json;
}

}  // namespace regroup::eval
