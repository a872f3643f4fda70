#include <fmt/format.h>

#include "core/base/version.h"
#include "eval/findings.h"
#include "eval/gate.h"
#include "eval/report.h"
#include "eval/statistics.h"
#include "eval/task_report.h"

namespace regroup::eval {
namespace {

Json json_of(const std::optional<Interval>& interval) {
  return interval ? Json{interval->low, interval->high} : Json();
}

Json json_of(const std::optional<Figure>& figure) {
  return figure ? figure_json(*figure) : Json();
}

Json text_or_null(const std::string& text) {
  return text.empty() ? Json() : Json(text);
}

// Null for the source.
Json statistics_json(const ModelResult& model) {
  if (model.statistics.empty()) return {};
  Json json = Json::object();
  for (std::size_t i = 0; i < model.statistics.size(); ++i)
    json[std::string(statistics()[i].key)] = figure_json(model.statistics[i]);
  json["kl_percentiles"] = Json::array();
  for (const Quantile& each : model.kl_quantiles)
    json["kl_percentiles"].push_back({{"percent", 100 * each.probability}, {"value", each.value}});
  return json;
}

Json json_of(const ModelResult& model, const Result& result) {
  const bool is_source = &model == &result.models.front();
  const bool has_text = result.scored_tokens > 0;
  const ModelFacts& facts = model.facts;
  Json json = {{"name", facts.name},
               {"path", facts.path.string()},
               {"role", is_source ? "source" : "model"},
               {"family", facts.family},
               {"parameters", facts.parameters},
               {"dtype", facts.dtype},
               {"layers", facts.layers},
               {"heads", facts.heads},
               {"kv_heads", facts.kv_heads},
               {"kv_bytes_per_token", facts.kv_bytes_per_token},
               {"weight_bytes", facts.weight_bytes},
               {"config_sha256", facts.config_sha256},
               {"weights_sha256", text_or_null(facts.weights_sha256)},
               {"nats_per_token", has_text ? figure_json(model.nats) : Json()},
               {"perplexity", has_text ? figure_json(model.perplexity) : Json()},
               {"bits_per_byte", json_of(model.bits_per_byte)},
               {"byte_perplexity", json_of(model.byte_perplexity)},
               {"word_perplexity", json_of(model.word_perplexity)},
               {"difference", json_of(model.difference)},
               {"perplexity_ratio", json_of(model.ratio)},
               {"along", model.along}};
  json["statistics"] = statistics_json(model);
  json["tasks"] = tasks_json(model, result);
  json["gates"] = Json::array();
  for (std::size_t i = 0; i < model.gates.size(); ++i) {
    const GateDecision& gate = model.gates[i];
    json["gates"].push_back({{"key", kind_of(result.gates[i]).key},
                             {"task", text_or_null(result.gates[i].task)},
                             {"verdict", verdict_name(gate.verdict)},
                             {"bounds", json_of(gate.bounds)},
                             {"more_tokens", gate.more_tokens ? Json(*gate.more_tokens) : Json()}});
  }
  return json;
}

Json data_json(const Result& result) {
  Json files = Json::array();
  for (const DataFile& file : result.files)
    files.push_back({{"path", file.path.string()}, {"bytes", file.bytes}, {"sha256", file.sha256}});
  return {{"files", files},
          {"stream_tokens", result.stream_tokens},
          {"scored_tokens", result.scored_tokens},
          {"documents", result.documents},
          {"text_bytes", result.text_bytes > 0 ? Json(result.text_bytes) : Json()},
          {"text_words", result.text_words > 0 ? Json(result.text_words) : Json()},
          {"convention", result.document_convention},
          {"tokenizer_sha256", text_or_null(result.tokenizer_sha256)}};
}

Json run_json(const Result& result) {
  Json seconds = Json::array();
  for (const ModelResult& model : result.models)
    seconds.push_back(
        {{"name", model.facts.name}, {"load", model.load_seconds}, {"score", model.score_seconds}});
  return {{"date", result.date}, {"device", result.device},        {"threads", result.threads},
          {"cpu", cpu_name()},   {"cpu_features", cpu_features()}, {"seconds", seconds}};
}

}  // namespace

Json figure_json(const Figure& figure) {
  return {{"value", figure.value},
          {"standard_error", figure.error ? Json(*figure.error) : Json()},
          {"interval", json_of(figure.interval)}};
}

Json report_json(const Result& result) {
  Json json = {{"format", "regroup-eval"},
               {"format_version", 2},
               {"version", version()},
               {"commit", commit()},
               {"headline", headline(result)},
               {"options", result.options},
               {"data", data_json(result)},
               {"convention",
                {{"name", result.convention},
                 {"summary", result.convention_summary},
                 {"window", result.window},
                 {"windows", result.windows}}},
               {"arithmetic", {{"dtype", result.dtype}, {"batch", result.batch}}},
               {"errors",
                {{"unit", result.cluster_unit},
                 {"clusters", result.clusters},
                 {"summary", result.cluster_summary},
                 {"confidence", result.confidence}}},
               {"segment_ends", result.segment_ends},
               {"tasks", tasks_json(result)}};
  if (result.verdict) {
    json["gate"] = {{"confidence", result.confidence}, {"verdict", verdict_name(*result.verdict)}};
    for (const Gate& gate : result.gates) json["gate"][std::string(kind_of(gate).key)] = gate.budget;
  }
  json["models"] = Json::array();
  for (const ModelResult& model : result.models) json["models"].push_back(json_of(model, result));
  json["run"] = run_json(result);
  return json;
}

}  // namespace regroup::eval
