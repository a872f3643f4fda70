#include <fmt/format.h>

#include "core/base/version.h"
#include "eval/breakdown.h"
#include "eval/findings.h"
#include "eval/gate.h"
#include "eval/quantization_scale.h"
#include "eval/report.h"
#include "eval/statistics.h"
#include "eval/task_report.h"

namespace regroup::eval {
namespace {

Json json_of(const std::optional<Interval>& interval) {
  return interval ? Json{interval->low, interval->high} : Json();
}

Json json_of(const Interval& interval) {
  return {interval.low, interval.high};
}

Json json_of(const std::optional<Figure>& figure) {
  return figure ? figure_json(*figure) : Json();
}

Json number_or_null(const std::optional<std::int64_t>& number) {
  return number ? Json(*number) : Json();
}

Json text_or_null(const std::string& text) {
  return text.empty() ? Json() : Json(text);
}

// Null for the source.
Json statistics_json(const ModelResult& model) {
  if (model.statistics.empty()) return {};
  Json json = Json::object();
  for (const Statistic& row : statistics())
    json[std::string(row.key)] = figure_json(*find_statistic(model, row.key));
  json["kl_percentiles"] = Json::array();
  for (const Quantile& each : model.kl_quantiles)
    json["kl_percentiles"].push_back({{"percent", 100 * each.probability}, {"value", each.value}});
  return json;
}

// Null without a bootstrap; without intervals where there are too few clusters.
Json bootstrap_json(const ModelResult& model, const Result& result) {
  if (result.replicates == 0 || !model.difference) return {};
  Json json = {{"replicates", result.replicates}, {"seed", result.seed}, {"intervals", Json::object()}};
  for (const ResampledFigure& each : model.resampled) json["intervals"][each.key] = json_of(each.interval);
  return json;
}

Json since_json(const ModelResult& model) {
  if (!model.since) return {};
  return {{"change", json_of(model.since->change)},
          {"perplexity_ratio", json_of(model.since->ratio)},
          {"paired", model.since->paired}};
}

// What lies next to each figure; null at the scale's ends.
Json scale_json(const ModelResult& model) {
  const auto name = [](const Quantization* row) { return row ? Json(row->name) : Json(); };
  Json json = {{"source", kScaleSource}};
  for (const ScaleFigure& figure : scale_figures())
    if (const std::optional<ScalePlace> place = place_on_scale(model, figure))
      json[std::string(figure.key)] = {{"finer", name(place->finer)}, {"coarser", name(place->coarser)}};
  return json;
}

Json breakdowns_json(const ModelResult& model) {
  Json json = Json::object();
  for (std::size_t row = 0; row < model.parts.size(); ++row) {
    Json parts = Json::array();
    for (const PartResult& part : model.parts[row])
      parts.push_back({{"label", part.label},
                       {"tokens", part.tokens},
                       {"cost", part.cost},
                       {"difference", json_of(part.difference)},
                       {"kl_divergence", json_of(part.kl)},
                       {"same_top", json_of(part.same_top)}});
    json[std::string(breakdowns()[row].key)] = std::move(parts);
  }
  return json;
}

Json passages_json(const ModelResult& model) {
  Json json = Json::array();
  for (const Passage& passage : model.passages) {
    Json tokens = Json::array();
    for (const PassageToken& token : passage.tokens)
      tokens.push_back({{"text", token.text}, {"nats", token.nats}, {"source_nats", token.source_nats}});
    json.push_back({{"position", passage.position},
                    {"document", passage.document},
                    {"lost", passage.lost},
                    {"before", passage.before},
                    {"tokens", std::move(tokens)},
                    {"after", passage.after},
                    {"worst", passage.worst},
                    {"expected", text_or_null(passage.expected)},
                    {"source_expected", text_or_null(passage.source_expected)}});
  }
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
               {"vocabulary", facts.vocabulary},
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
  json["bootstrap"] = bootstrap_json(model, result);
  json["since_baseline"] = since_json(model);
  json["quantization_scale"] = is_source ? Json() : scale_json(model);
  json["breakdowns"] = breakdowns_json(model);
  json["worst_passages"] = passages_json(model);
  json["tasks"] = tasks_json(model, result);
  json["gates"] = Json::array();
  for (std::size_t i = 0; i < model.gates.size(); ++i) {
    const GateDecision& gate = model.gates[i];
    json["gates"].push_back({{"key", kind_of(result.gates[i]).key},
                             {"task", text_or_null(result.gates[i].task)},
                             {"verdict", verdict_name(gate.verdict)},
                             {"bounds", json_of(gate.bounds)},
                             {"more_tokens", number_or_null(gate.more_tokens)}});
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

// Both null without a text.
Json convention_json(const Result& result) {
  if (result.scored_tokens == 0) return {};
  return {{"name", result.convention},
          {"summary", result.convention_summary},
          {"window", result.window},
          {"windows", result.windows}};
}

Json errors_json(const Result& result) {
  if (result.scored_tokens == 0) return {};
  return {{"unit", result.cluster_unit},
          {"clusters", result.clusters},
          {"summary", result.cluster_summary},
          {"confidence", result.confidence}};
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
               {"format_version", kReportFormatVersion},
               {"version", version()},
               {"commit", commit()},
               {"headline", headline(result)},
               {"options", result.options},
               {"data", data_json(result)},
               {"convention", convention_json(result)},
               {"arithmetic", {{"dtype", result.dtype}, {"batch", result.batch}}},
               {"errors", errors_json(result)},
               {"segment_ends", result.segment_ends},
               {"tasks", tasks_json(result)}};
  if (result.verdict) {
    json["gate"] = {{"confidence", result.confidence}, {"verdict", verdict_name(*result.verdict)}};
    for (const Gate& gate : result.gates) json["gate"][std::string(kind_of(gate).key)] = gate.budget;
  }
  if (result.baseline)
    json["baseline"] = {{"path", result.baseline->path.string()},
                        {"sha256", result.baseline->sha256},
                        {"date", text_or_null(result.baseline->date)},
                        {"commit", text_or_null(result.baseline->commit)}};
  json["models"] = Json::array();
  for (const ModelResult& model : result.models) json["models"].push_back(json_of(model, result));
  json["run"] = run_json(result);
  return json;
}

}  // namespace regroup::eval
