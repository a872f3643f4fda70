#include "eval/baseline.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <sstream>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/hash.h"
#include "core/base/log.h"
#include "eval/findings.h"
#include "eval/npy.h"
#include "eval/report.h"
#include "eval/text.h"

namespace regroup::eval {
namespace {

namespace fs = std::filesystem;

std::string text_of(const Json& value) {
  return value.is_string() ? value.get<std::string>() : value.is_null() ? "" : value.dump();
}

std::string hashes_of(const Result& result) {
  std::vector<std::string> hashes;
  for (const DataFile& file : result.files) hashes.push_back(file.sha256);
  return fmt::format("{}", fmt::join(hashes, ", "));
}

std::string hashes_of(const Json& files) {
  std::vector<std::string> hashes;
  for (const Json& file : files) hashes.push_back(text_of(file.at("sha256")));
  return fmt::format("{}", fmt::join(hashes, ", "));
}

// What two runs must share for their tokens to be the same ones.
struct Shared {
  std::string_view name;
  bool of_text;
  std::string (*then)(const Json& json);
  std::string (*now)(const Result& result, const ModelFacts& source);
};

constexpr Shared kShared[] = {
    {"SHA-256 of the data", true, [](const Json& json) { return hashes_of(json.at("data").at("files")); },
     [](const Result& result, const ModelFacts&) { return hashes_of(result); }},
    {"way to documents", true, [](const Json& json) { return text_of(json.at("data").at("convention")); },
     [](const Result& result, const ModelFacts&) { return result.document_convention; }},
    {"tokenizer", true, [](const Json& json) { return text_of(json.at("data").at("tokenizer_sha256")); },
     [](const Result& result, const ModelFacts&) { return result.tokenizer_sha256; }},
    {"--convention", true, [](const Json& json) { return text_of(json.at("convention").at("name")); },
     [](const Result& result, const ModelFacts&) { return result.convention; }},
    {"--window", true, [](const Json& json) { return text_of(json.at("convention").at("window")); },
     [](const Result& result, const ModelFacts&) { return std::to_string(result.window); }},
    {"--dtype", false, [](const Json& json) { return text_of(json.at("arithmetic").at("dtype")); },
     [](const Result& result, const ModelFacts&) { return result.dtype; }},
    {"number of scored tokens", true,
     [](const Json& json) { return text_of(json.at("data").at("scored_tokens")); },
     [](const Result& result, const ModelFacts&) { return std::to_string(result.scored_tokens); }},
    {"source's config.json", false,
     [](const Json& json) { return text_of(json.at("models").at(0).at("config_sha256")); },
     [](const Result&, const ModelFacts& source) { return source.config_sha256; }},
    {"source's weights", false,
     [](const Json& json) { return text_of(json.at("models").at(0).at("weights_sha256")); },
     [](const Result&, const ModelFacts& source) { return source.weights_sha256; }},
};

// Hashes by their beginning.
std::string shortened(const std::string& value) {
  return value.size() > 40 ? value.substr(0, 12) + "…" : value.empty() ? "none" : value;
}

[[noreturn]] void refuse(const fs::path& path, std::string what, std::string remedy) {
  throw UserError(
      {.where = "--baseline " + path.string(), .what = std::move(what), .remedy = std::move(remedy)});
}

// Of tasks that both runs have.
std::vector<std::string> task_differences(const Json& json, const Result& measurement) {
  std::vector<std::string> differences;
  for (std::size_t t = 0; t < measurement.tasks.size(); ++t)
    for (const Json& then : json.value("tasks", Json::array())) {
      const TaskFacts& now = measurement.tasks[t];
      if (then.at("name") != now.name) continue;
      if (then.at("sha256") != measurement.task_files[t].sha256)
        differences.push_back(fmt::format("the file of task {} was another", now.name));
      else if (then.at("examples") != now.examples)
        differences.push_back(fmt::format("task {} had {} examples, has {}", now.name,
                                          then.at("examples").dump(), now.examples));
    }
  return differences;
}

}  // namespace

Baseline::Baseline(const fs::path& path) : path_(path), json_(read_json(path)) {
  const auto field = [this](const char* key) {
    return json_.is_object() ? json_.value(key, Json()) : Json();
  };
  const Json version = field("format_version");
  if (field("format") != "regroup-eval" || !version.is_number_integer())
    refuse(path, "not the result of an evaluation", "Give what `regroup eval … --json F` wrote");
  if (version < 2 || version > kReportFormatVersion)
    refuse(path,
           fmt::format("its format is version {}; versions 2 to {} are read", version.dump(),
                       kReportFormatVersion),
           version < 2 ? "Run the baseline again" : "Use the program that wrote it, or run it again");
}

void Baseline::require_comparable(const Result& measurement, const ModelFacts& source) const {
  std::vector<std::string> differences;
  const bool text = measurement.scored_tokens > 0;
  try {
    require_figures();
    differences = task_differences(json_, measurement);
    if (text && json_.at("convention").is_null()) refuse(path_, "it scored no text", "Give one that did");
    for (const Shared& each : kShared) {
      if (each.of_text && !text) continue;
      const std::string then = each.then(json_), now = each.now(measurement, source);
      if (then == now || (each.name == "source's weights" && (then.empty() || now.empty()))) continue;
      differences.push_back(fmt::format("the {} was {}, is {}", each.name, shortened(then), shortened(now)));
    }
  } catch (const Json::exception& error) {
    refuse(path_, std::string("lacks what an evaluation has: ") + error.what(), "Run the baseline again");
  }
  if (!differences.empty())
    refuse(path_, fmt::format("cannot be compared with this run: {}", fmt::join(differences, "; ")),
           "Compare runs of one text, convention and source, or make the baseline again");
}

// What is read of it once everything was scored.
void Baseline::require_figures() const {
  const bool text = !json_.at("convention").is_null();
  if (text) static_cast<void>(json_.at("errors").at("clusters").get<std::int64_t>());
  for (const Json& each : json_.at("models")) {
    static_cast<void>(each.at("name").get<std::string>());
    static_cast<void>(each.at("weights_sha256"));
    for (const Json& task : each.value("tasks", Json::array())) {
      static_cast<void>(task.at("acc").at("share").at("value").get<double>());
      static_cast<void>(task.at("acc").at("share").at("standard_error"));
    }
    if (!text) continue;
    static_cast<void>(each.at("nats_per_token").at("value").get<double>());
    if (each.at("role") != "model") continue;
    static_cast<void>(each.at("difference").at("value").get<double>());
    static_cast<void>(each.at("difference").at("standard_error"));
  }
}

const Json* Baseline::model(std::string_view name) const {
  const Json& models = json_.at("models");
  const auto found = std::ranges::find_if(
      models, [&](const Json& each) { return each.at("role") == "model" && each.at("name") == name; });
  return found == models.end() ? nullptr : &*found;
}

void Baseline::require_model(std::string_view name, std::string_view flag) const {
  if (model(name)) return;
  std::vector<std::string> names;
  for (const Json& each : json_.at("models"))
    if (each.at("role") == "model") names.push_back(text_of(each.at("name")));
  throw UserError({.where = std::string(flag),
                   .what = fmt::format("the baseline {} has no model of that name", path_.string()),
                   .expected = names.empty() ? "a model" : "one of " + list_some(names, 20),
                   .found = std::string(name),
                   .remedy = "Models are matched by the names of their directories"});
}

std::vector<fs::path> Baseline::written(const char* option) const {
  const Json options = json_.value("options", Json());
  const std::string file = options.is_object() ? text_of(options.value(option, Json(""))) : "";
  std::vector<fs::path> found;
  if (file.empty()) return found;
  for (const fs::path& path : {fs::path(file), path_.parent_path() / fs::path(file).filename()})
    if (fs::is_regular_file(path)) found.push_back(path);
  return found;
}

// Of a --per-token file that is the one of that run: as many tokens, with the mean that its report says.
std::vector<double> Baseline::nats_of(std::string_view name, std::size_t tokens) const {
  const Json& models = json_.at("models");
  const auto row = std::ranges::find_if(models, [&](const Json& each) { return each.at("name") == name; });
  for (const fs::path& path : written("per-token")) {
    const std::vector<double> nats = read_npy_row(path, static_cast<std::size_t>(row - models.begin()));
    if (nats.size() != tokens) continue;
    const std::int64_t whole[] = {static_cast<std::int64_t>(tokens)};
    const double then = row->at("nats_per_token").at("value");
    if (std::abs(clustered_mean(nats, whole).mean - then) <= 1e-9 * (1 + std::abs(then))) return nats;
  }
  return {};
}

std::optional<Baseline::Change> Baseline::change_of(std::string_view name, const Scores& scores,
                                                    const Figure& difference,
                                                    const Clusters& clusters) const {
  const Json* then = model(name);
  if (!then) return std::nullopt;
  Change change{.estimate = {}, .weights_sha256 = text_of(then->at("weights_sha256"))};
  const std::vector<double> nats = nats_of(name, scores.nats.size());
  if (!nats.empty()) {
    change.paired = true;
    change.estimate = clustered_mean_difference(scores.nats, nats, clusters.ends);
    return change;
  }
  const Json& figure = then->at("difference");
  change.estimate = {.mean = difference.value - figure.at("value").get<double>(),
                     .clusters = std::min(std::ssize(clusters.ends),
                                          json_.at("errors").at("clusters").get<std::ptrdiff_t>()),
                     .observations = std::ssize(scores.nats)};
  const auto clusters_then = static_cast<double>(change.estimate.clusters);
  change.estimate.degrees = std::max(1., std::min(effective_clusters(clusters.ends), clusters_then) - 1);
  if (difference.error && figure.at("standard_error").is_number())
    change.estimate.standard_error = std::hypot(*difference.error, figure.at("standard_error").get<double>());
  return change;
}

// Of a --per-example file, by whose lines this model got as many right as its report says.
std::vector<bool> Baseline::right_answers(std::string_view model_name, std::string_view task_name) const {
  for (const fs::path& path : written("per-example")) try {
      std::vector<bool> right;
      std::istringstream lines(read_text(path));
      for (std::string line; std::getline(lines, line);) {
        const Json example = parse_json(line, path.string());
        if (example.at("task") != task_name) continue;
        for (const Json& answer : example.at("answers"))
          if (answer.at("model") == model_name) right.push_back(answer.at("acc").get<bool>());
      }
      return right;
    } catch (const std::exception&) {  // not what that run wrote
    }
  return {};
}

std::optional<Baseline::TaskThen> Baseline::task(std::string_view model_name,
                                                 std::string_view task_name) const {
  const Json* then = model(model_name);
  if (!then) return std::nullopt;
  const Json tasks = then->value("tasks", Json::array());  // not in version 2
  const auto row =
      std::ranges::find_if(tasks, [&](const Json& each) { return each.at("name") == task_name; });
  if (row == tasks.end()) return std::nullopt;
  const Json& share = row->at("acc").at("share");
  TaskThen task{.share = {.value = share.at("value")}};
  if (share.at("standard_error").is_number()) task.share.error = share.at("standard_error").get<double>();
  const std::vector<bool> right = right_answers(model_name, task_name);
  const auto count = static_cast<double>(std::ranges::count(right, true));
  if (!right.empty() && std::abs(count / static_cast<double>(right.size()) - task.share.value) <
                            0.5 / static_cast<double>(right.size()))
    task.right = right;
  return task;
}

BaselineFacts Baseline::facts() const {
  const Json run = json_.value("run", Json::object());
  return {.path = path_,
          .sha256 = sha256_of_file(path_),
          .date = text_of(run.value("date", Json(""))),
          .commit = text_of(json_.value("commit", Json("")))};
}

std::string named(const BaselineFacts& baseline) {
  return baseline.path.filename().string() +
         (baseline.date.empty() ? "" : " of " + baseline.date.substr(0, 10));
}

std::string baseline_sentence(const ModelResult& model, const Result& result) {
  if (!result.baseline || !model.difference) return "";
  if (!model.since)
    return fmt::format("{} is not in the baseline {}.", model.facts.name,
                       result.baseline->path.filename().string());
  const std::string then = named(*result.baseline);
  const Figure& change = model.since->change;
  if (change.value == 0 && change.interval && change.error.value_or(0) == 0)
    return fmt::format("{} since {}: the same, token by token.", model.facts.name, then);
  return fmt::format(
      "{} since {}: {}, {}.", model.facts.name, then,
      ratio_phrase(model.since->ratio, result.confidence, "the baseline's"),
      model.since->paired ? "token by token" : "unpaired, for want of the baseline's --per-token file");
}

}  // namespace regroup::eval
