#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/hash.h"
#include "core/base/output_file.h"
#include "core/base/progress.h"
#include "core/data/formats.h"
#include "eval/baseline.h"
#include "eval/bootstrap.h"
#include "eval/clusters.h"
#include "eval/compare.h"
#include "eval/convention.h"
#include "eval/eval.h"
#include "eval/gate.h"
#include "eval/inputs.h"
#include "eval/npy.h"
#include "eval/report.h"
#include "eval/score.h"
#include "eval/scored_text.h"

namespace regroup::eval {
namespace {

namespace fs = std::filesystem;

struct Output {
  std::string_view flag;
  fs::path path;
};

std::vector<Output> wanted_outputs(const Options& options) {
  std::vector<Output> outputs;
  for (Output output :
       {Output{"--report", options.report}, Output{"--json", options.json},
        Output{"--markdown", options.markdown}, Output{"--junit", options.junit},
        Output{"--per-token", options.per_token}, Output{"--lm-eval-json", options.lm_eval_json}})
    if (!output.path.empty()) outputs.push_back(std::move(output));
  return outputs;
}

void check_outputs(const Options& options) {
  std::vector<fs::path> taken;
  for (const fs::path& file : options.data) taken.push_back(fs::weakly_canonical(file));
  if (!options.baseline.empty()) taken.push_back(fs::weakly_canonical(options.baseline));
  for (const Output& output : wanted_outputs(options)) {
    require_output_file(output.path, output.flag, options.overwrite);
    const fs::path whole = fs::weakly_canonical(output.path);
    if (std::ranges::find(taken, whole) != taken.end())
      throw UserError({.where = fmt::format("{} {}", output.flag, output.path.string()),
                       .what = "is the name of another output or of the data",
                       .remedy = "Give every file its own name"});
    taken.push_back(whole);
  }
}

bool has_gate(const Options& options) {
  return std::ranges::any_of(gate_kinds(),
                             [&](const GateKind& kind) { return (options.*kind.budget).has_value(); });
}

void check_options(const Options& options) {
  for (const GateKind& kind : gate_kinds()) {
    const std::optional<double>& budget = options.*kind.budget;
    if (budget && options.models.empty())
      throw UserError(
          {.where = std::string(kind.flag),
           .what = "needs a model to compare with the source",
           .remedy = fmt::format("Give it: regroup eval SOURCE MODEL --data FILE {} X", kind.flag)});
    if (budget && !kind.valid(*budget))
      throw UserError({.where = std::string(kind.flag),
                       .what = fmt::format("not a budget for the {}", kind.subject),
                       .expected = std::string(kind.expected),
                       .found = fmt::format("{}", *budget)});
  }
  if (options.max_baseline_ratio && options.baseline.empty())
    throw UserError({.where = "--max-baseline-ratio",
                     .what = "has no earlier run to compare with",
                     .remedy = "Give what its --json wrote: --baseline earlier.json"});
  if (!options.baseline.empty() && options.models.empty())
    throw UserError({.where = "--baseline",
                     .what = "needs a model to compare with the source",
                     .remedy = "Give it: regroup eval SOURCE MODEL --data FILE --baseline earlier.json"});
  if (options.bootstrap < 0 || (options.bootstrap > 0 && options.bootstrap < kLeastReplicates))
    throw UserError({.where = "--bootstrap",
                     .what = "too few resamples to take percentiles of",
                     .expected = fmt::format("0 (none) or at least {}, better 2000", kLeastReplicates),
                     .found = fmt::format("{}", options.bootstrap)});
  if (!options.lm_eval_json.empty() && options.models.size() > 1)
    throw UserError({.where = "--lm-eval-json",
                     .what = "holds one model, as lm-eval's files do",
                     .expected = "a source, or a source and one model",
                     .found = fmt::format("{} models beside the source", options.models.size())});
  if (!options.junit.empty() && !has_gate(options))
    throw UserError({.where = "--junit",
                     .what = "has no gate to report",
                     .remedy = "Give a budget, such as --max-ppl-ratio 1.02"});
  if (!(options.confidence > 0.5 && options.confidence < 1))
    throw UserError({.where = "--confidence",
                     .what = "not a confidence",
                     .expected = "a number between 0.5 and 1, such as 0.95",
                     .found = fmt::format("{}", options.confidence)});
}

void write_outputs(const Options& options, const Result& result, std::span<const Scores> scores) {
  std::vector<std::vector<double>> nats;
  for (const Scores& each : scores) nats.push_back(each.nats);
  if (!options.per_token.empty()) write_output_file(options.per_token, npy_bytes(nats), options.overwrite);
  if (!options.json.empty()) write_output_file(options.json, to_text(report_json(result)), options.overwrite);
  if (!options.markdown.empty())
    write_output_file(options.markdown, report_markdown(result), options.overwrite);
  if (!options.junit.empty()) write_output_file(options.junit, report_junit(result), options.overwrite);
  if (!options.lm_eval_json.empty())
    write_output_file(options.lm_eval_json, to_text(lm_eval_json(result)), options.overwrite);
  if (!options.report.empty()) write_output_file(options.report, report_html(result), options.overwrite);
}

// The files behind a name: a format may keep its data in a pair.
std::vector<fs::path> files_behind(const fs::path& path) {
  for (const data::DataFormat& format : data::data_formats())
    if (format.recognises != nullptr && format.outputs != nullptr && format.recognises(path))
      return format.outputs(path);
  return {path};
}

Result describe_measurement(const Options& options, const Inputs& inputs, const ScoreOptions& score) {
  const Convention& rule = convention(options.convention);
  Result result;
  for (const fs::path& path : options.data)
    for (const fs::path& file : files_behind(path))
      result.files.push_back({file, fs::file_size(file), sha256_of_file(file)});
  result.stream_tokens = inputs.stream_tokens;
  result.documents = std::ssize(inputs.stream.document_starts);
  result.text_bytes = inputs.stream.text_bytes;
  result.document_convention = inputs.stream.convention;
  result.tokenizer_sha256 = inputs.tokenizer_sha256;
  result.convention = rule.name;
  result.convention_summary = rule.summary;
  result.window = score.window;
  result.windows = std::ssize(inputs.windows);
  for (const data::Window& window : inputs.windows) result.scored_tokens += window.scored();
  result.batch = score.batch;
  result.confidence = options.confidence;
  result.replicates = options.models.empty() ? 0 : options.bootstrap;
  result.seed = options.seed;
  for (std::size_t kind = 0; kind < gate_kinds().size(); ++kind)
    if (const std::optional<double>& budget = options.*gate_kinds()[kind].budget)
      result.gates.push_back({.budget = *budget, .confidence = options.confidence, .kind = kind});
  result.dtype = score.dtype;
  result.device = score.device;
  result.threads = threads_in_use();
  result.options = options.resolved;
  result.date = fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::chrono::system_clock::now()));
  return result;
}

// Read and found comparable before anything is scored.
std::optional<Baseline> open_baseline(const Options& options, const std::vector<ModelFacts>& facts,
                                      Result& result) {
  if (options.baseline.empty()) return std::nullopt;
  Baseline baseline(options.baseline);
  baseline.require_comparable(result, facts.front());
  if (options.max_baseline_ratio)
    for (std::size_t m = 1; m < facts.size(); ++m)
      baseline.require_model(facts[m].name, "--max-baseline-ratio");
  result.baseline = baseline.facts();
  return baseline;
}

}  // namespace

Result evaluate(const Options& options) {
  check_options(options);
  check_outputs(options);
  const Inputs inputs = open_inputs(options);
  const ScoreOptions score = {
      .window = inputs.window,
      .batch = options.batch > 0 ? options.batch : std::max<std::int64_t>(1, kTokensAtATime / inputs.window),
      .dtype = options.dtype,
      .device = options.device};
  Result result = describe_measurement(options, inputs, score);
  const std::int64_t scored_tokens = result.scored_tokens;
  if (!options.lm_eval_json.empty() && !bytes_are_scored(result))
    throw UserError(
        {.where = "--lm-eval-json",
         .what = "the bytes of what is scored are not known",
         .expected = "text, all of it scored: no shards, no --max-tokens, no blocks that leave a rest",
         .remedy = "Its figures are per byte; --json has those per token"});
  require_memory(inputs.models, scored_tokens, score);

  std::vector<ModelFacts> facts;
  for (const family::ModelDirectory& model : inputs.models) facts.push_back(facts_of(model));
  name_models(facts);
  const std::optional<Baseline> baseline = open_baseline(options, facts, result);
  std::vector<Scores> scores;
  std::shared_ptr<SourceStates> states;
  for (std::size_t m = 0; m < facts.size(); ++m) {
    Progress progress("scoring " + facts[m].name, static_cast<double>(scored_tokens), "tokens");
    scores.push_back(score_model(
        inputs.models[m], inputs.stream.tokens, inputs.windows, score,
        [&](std::int64_t scored) { progress.advance(static_cast<double>(scored)); },
        facts.size() > 1 ? &states : nullptr));
    result.models.push_back({.facts = std::move(facts[m]),
                             .load_seconds = scores.back().load_seconds,
                             .score_seconds = scores.back().score_seconds});
  }
  const Clusters clusters = choose_clusters(inputs.windows, inputs.stream.document_starts);
  compare_models(scores, clusters, result, baseline ? &*baseline : nullptr);
  if (scores.size() > 1) {
    ScoredText text = locate_scores(inputs.windows, inputs.stream.tokens, inputs.stream.document_starts);
    const std::unique_ptr<tokenizer::Tokenizer> reader = open_reader(options.source);
    if (reader) text.decode = [&](std::span<const Token> tokens) { return reader->decode(tokens); };
    locate_losses(scores, clusters, text, result);
  }
  write_outputs(options, result, scores);
  return result;
}

}  // namespace regroup::eval
